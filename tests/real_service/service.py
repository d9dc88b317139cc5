"""Django under ``gunicorn -w 4`` behind Caddy, http and https; the proxy's access log is read as it is written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stack.running import free_port
from tests.servers import Certificates

HOUSE = Path(__file__).resolve().parents[2]
WORKERS = 4

CADDYFILE = """
{{
    admin off
    auto_https off
    grace_period 1s
    log {{
        output stdout
        format json
    }}
}}
(site) {{
    bind 127.0.0.1
    log {{
        output stdout
        format json
    }}
    header /closing Connection close
    reverse_proxy 127.0.0.1:{upstream}
}}
http://:{http} {{
    import site
}}
https://:{https} {{
    tls {certificate} {key}
    import site
}}
"""


class AccessLog:
    """Caddy's stdout, read in its own thread."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._requests: list[int] = []
        self._serving = False
        self._ended = False
        self.last_words = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._take(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line: str) -> None:
        said: dict[str, Any] = json.loads(line) if line.startswith("{") else {"msg": line}
        self.last_words = str(said.get("msg"))
        if said.get("msg") == "serving initial configuration":
            self._serving = True
        elif str(said.get("logger")).startswith("http.log.access"):
            self._requests.append(int(said["request"]["remote_port"]))

    def serving(self) -> bool:
        """Wait until Caddy is up or has failed; returns whether it is up."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._serving or self._ended, 20), self.last_words
            return not self._ended

    def __len__(self) -> int:
        return len(self._requests)

    def since(self, seen: int, requests: int) -> Counter[int]:
        """The client's port of each of the ``requests`` after the first ``seen``, once they are all logged."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._requests) - seen >= requests or self._ended, 10)
            return Counter(self._requests[seen:])

    def finish(self) -> None:
        self._reader.join(10)


class Service:
    """The running service."""

    def __init__(self, ports: dict[str, int], log: AccessLog) -> None:
        self.ports = ports
        self.log = log

    def url(self, scheme: str) -> str:
        return f"{scheme}://127.0.0.1:{self.ports[scheme]}/"


@contextmanager
def running(directory: Path, certificates: Certificates) -> Iterator[Service]:
    """Run both programs in ``directory``, where they leave everything that they write; they end with the block."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("POOLSCOPE")}
    home = directory / "home"
    home.mkdir()
    at_home = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    with ExitStack() as stack:
        upstream = stack.enter_context(_gunicorn(directory, quiet | at_home))
        ports, log = stack.enter_context(_caddy(directory, quiet | at_home, certificates, upstream))
        yield Service(ports, log)


@contextmanager
def _gunicorn(directory: Path, environment: dict[str, str]) -> Iterator[int]:
    """The port of the application server. It gets a listening socket, so there is nothing to wait for."""
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listener:
        command = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), "--bind"]
        command += [f"fd://{listener.fileno()}", "--worker-tmp-dir", str(directory), "--log-level", "error"]
        command += ["--chdir", str(HOUSE), "tests.real_service.application:application"]
        with subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()]) as process:
            with _ended_with(process):
                yield listener.getsockname()[1]


@contextmanager
def _caddy(
    directory: Path, environment: dict[str, str], certificates: Certificates, upstream: int
) -> Iterator[tuple[dict[str, int], AccessLog]]:
    """The ports of the proxy and its log."""
    caddy = shutil.which("caddy")
    assert caddy is not None
    config = directory / "Caddyfile"
    ports = {name: free_port() for name in ("http", "https")}
    text = CADDYFILE.format(
        **ports, upstream=upstream, certificate=certificates.server, key=certificates.server
    )
    config.write_text(text, encoding="utf-8")
    command = [caddy, "run", "--adapter", "caddyfile", "--config", str(config)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        log = AccessLog(process)
        with _ended_with(process):
            assert log.serving(), f"Caddy did not start: {log.last_words}"
            yield ports, log
            process.terminate()
            log.finish()


@contextmanager
def _ended_with(process: subprocess.Popen[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
