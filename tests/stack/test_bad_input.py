"""Errors at the start are one line that says what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from stack import binaries, load, local, ready, screenshots, tables
from stack.downstream import certificate
from stack.panels import fitting
from stack.programs import COMPONENTS, ROOT
from stack.running import CannotRunError, Program, answers, free_port, listens, require_free


def test_a_picked_port_stays_free_for_its_server():
    port = free_port()
    with socket.socket() as caller, pytest.raises(OSError, match="in use"):
        caller.bind(("127.0.0.1", port))
    assert not listens(port)
    with socket.create_server(("127.0.0.1", port)):
        assert listens(port)


def test_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            CannotRunError, match=rf"port {port}, wanted for jaeger query, is in use.*--any-ports"
        ):
            require_free({"jaeger query": port})


def test_a_port_is_refused_before_anything_starts(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(
            local.Ports, "any", classmethod(lambda cls: local.Ports(otlp_grpc=taken.getsockname()[1]))
        )
        monkeypatch.setattr(sys, "argv", ["stack.local", "--any-ports"])
        # main sets its handlers in this very process.
        monkeypatch.setattr(local.signal, "signal", lambda *_: None)
        assert local.main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "wanted for otlp grpc" in said.err


def test_a_program_that_ends_at_once_is_quoted(tmp_path):
    program = Program(
        "broken", [sys.executable, "-c", "raise SystemExit('no such setting')"], tmp_path / "log"
    )
    program.start()
    try:
        with pytest.raises(CannotRunError, match="broken ended at once: no such setting"):
            program.wait_for(lambda: False, 30)
    finally:
        program.kill()


@pytest.mark.stack
def test_a_prometheus_without_the_receiver_is_reported(component, tmp_path):
    for name in COMPONENTS:
        component(name)
    stack = local.Stack(tmp_path, local.Ports.any(), may_build=False)
    stack.prometheus.command.remove("--web.enable-otlp-receiver")
    try:
        with pytest.raises(CannotRunError, match="has no OTLP receiver: take version 3"):
            stack.start_component(stack.prometheus)
    finally:
        stack.stop()


def test_a_component_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("POOLSCOPE_STACK_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(binaries.MissingError, match=r"jaeger 1\.76\.0 is not in"):
        binaries.need("jaeger", may_build=False)
    with pytest.raises(binaries.MissingError, match=r"to build it Go 1\.26 is needed"):
        binaries.need("jaeger", may_build=True)


def test_a_load_without_a_service(monkeypatch, capsys):
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(sys, "argv", ["stack.load", url, "--wait", "0.3"])
    assert load.main() == 1
    assert capsys.readouterr().err == f"no answer within 0.3 s from {url}/: start it first\n"


def test_a_load_waits_for_its_service(monkeypatch, capsys):
    """The service comes up a moment later: nobody has to start the load again."""
    port = free_port()
    monkeypatch.setattr(
        sys, "argv", ["stack.load", f"http://127.0.0.1:{port}", "--seconds", "0.5", "--rate", "4"]
    )

    class Late(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"way")

        def log_message(self, format: str, *args: Any):
            """Only the load calls it."""

    def come_up():
        with ThreadingHTTPServer(("127.0.0.1", port), Late) as server:
            servers.append(server)
            server.serve_forever(0.05)

    servers: list[ThreadingHTTPServer] = []
    late = threading.Timer(0.5, come_up)
    late.start()
    try:
        assert load.main() == 0
    finally:
        servers[0].shutdown()
        late.join()
    assert '"failed": 0' in capsys.readouterr().out


def test_an_address_that_is_not_ready_is_named(monkeypatch, capsys):
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    monkeypatch.setattr(sys, "argv", ["stack.ready", *urls])
    assert ready.main() == 1
    assert capsys.readouterr().err == f"no answer within 0 s from {urls[0]} or {urls[1]}\n"


@pytest.mark.processes
@pytest.mark.parametrize("every", ["0", "0.5", "301", "often", "-5", "nan"])
@pytest.mark.parametrize(
    "module", ["stack.local", "stack.tables http://127.0.0.1:9", "stack.pictures http://127.0.0.1:9"]
)
def test_an_export_interval_that_does_not_fit(module, every):
    word = "--every" if module == "stack.local" else "--export"
    command = [sys.executable, "-m", *module.split(), f"{word}={every}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert f"{every} does not fit: give seconds from 1 to 300" in ended.stderr.splitlines()[-1]


def test_a_range_that_holds_too_few_exports():
    with pytest.raises(CannotRunError, match=r"120 s hold 2 exports at 60 s: ask for 480 s at least"):
        fitting(60.0, 120.0)
    assert fitting(60.0, 480.0).step == 60.0


def test_a_service_without_a_collector_says_so_and_serves(tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    port = free_port()
    certificate(tmp_path, ["localhost"])
    command = [sys.executable, "-m", "stack.service", "--name", "alone", "--habit", "healthy"]
    command += ["--port", str(port), "--certs", str(tmp_path), "--otlp", nobody]
    path = f"{ROOT}:{ROOT / 'src'}"
    service = Program("alone", command, tmp_path / "log", {"PYTHONPATH": path})
    service.start()
    try:
        service.wait_for(lambda: service.said("alone ready"), 30)
        (said,) = [line for line in service.output().splitlines() if "Collector" in line]
        assert said.startswith(f"alone: no Collector at {nobody}")
        assert "--otlp" in said
        assert answers(f"http://127.0.0.1:{port}/") == b"order stock"
    finally:
        service.kill()


def test_tables_of_a_prometheus_that_is_down(monkeypatch, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setattr(sys, "argv", ["stack.tables", f"http://127.0.0.1:{probe.getsockname()[1]}"])
        assert tables.main() == 2
    assert capsys.readouterr().err.startswith("no answer from")


def test_pictures_without_a_browser_or_without_a_page(monkeypatch, tmp_path, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
        monkeypatch.setattr(sys, "argv", ["stack.screenshots", nobody, "--to", str(tmp_path / "pictures")])
        monkeypatch.setenv("PATH", str(tmp_path))
        assert screenshots.main() == 2
        assert "apt-get install chromium" in capsys.readouterr().err
        (tmp_path / "chromium").touch(mode=0o755)
        assert screenshots.main() == 2
        assert f"no page at {nobody}/consoles/poolscope.html" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()
