"""Interpreters and systems that poolscope was not tested on: one line, and the program goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolscope import testing
from poolscope.cli.main import main
from poolscope.instrumentor import INSTRUMENTOR, instrument, observe
from poolscope.supported import NotSupportedError
from tests.servers import Running, in_thread

WITHOUT_POSIX = """
import os, select, signal, sys, time
import concurrent.futures.thread, requests, sysconfig  # they ask the system once
sysconfig.get_paths()

class Without:
    def __init__(self, loader, *names):
        self.loader, self.names = loader, names
    def create_module(self, spec):
        return self.loader.create_module(spec)
    def exec_module(self, module):
        self.loader.exec_module(module)
        for name in self.names:
            vars(module).pop(name, None)

select.__spec__.loader = Without(select.__spec__.loader, "poll", "POLLOUT")
time.__spec__.loader = Without(time.__spec__.loader, "clock_gettime", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME")
del select.poll, select.POLLOUT, signal.pthread_sigmask, signal.SIGPIPE, os.register_at_fork, os.geteuid
sys.modules["fcntl"] = sys.modules["pwd"] = sys.modules["resource"] = None
os.name = "nt"
"""
"""Takes away what Windows lacks before poolscope is imported. This is not Windows, where nobody has tried it."""


@pytest.fixture
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture
def free_threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "abiflags", "t", raising=False)
    monkeypatch.setattr("poolscope.instrumentor._said_no", False)


def run(code: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.usefixtures("free_threaded")
def test_a_free_threaded_python_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        instrument()
        observe("httpx")
    assert not INSTRUMENTOR.active
    assert capfd.readouterr().err == (
        "poolscope: not tested on free-threaded Python, so nothing is observed\n"
    )


@pytest.mark.usefixtures("free_threaded")
def test_a_capture_that_would_see_nothing_fails() -> None:
    with pytest.raises(NotSupportedError, match="free-threaded"), testing.capture():
        raise AssertionError


@pytest.mark.usefixtures("free_threaded")
def test_run_ends_before_the_program_starts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise AssertionError")
    with pytest.raises(SystemExit) as ended:
        main(["run", str(program)])
    assert ended.value.code == 2
    assert capfd.readouterr().err == (
        "poolscope run: not tested on free-threaded Python, so nothing is observed\n"
    )


def test_without_posix_a_program_can_be_instrumented(server: Running) -> None:
    done = run(
        WITHOUT_POSIX
        + """
import requests, poolscope, poolscope.testing
from poolscope.recording.stderr import note
note("a line")
with poolscope.testing.capture() as seen:
    requests.get(sys.argv[1])
print(len(seen.connections), seen.exchanges[0].status)
poolscope.instrument()
""",
        server.url("/fixed/4"),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 200\n", "poolscope: a line\n")


@pytest.mark.parametrize("words", [["run", "program.py"], ["view", "calls.jsonl"], ["doctor"]])
def test_without_posix_the_command_says_so(words: list[str]) -> None:
    done = run(WITHOUT_POSIX + "from poolscope.cli.main import main; main(sys.argv[1:])", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(
        ": the command needs a POSIX system such as Linux; poolscope.instrument() needs none\n"
    )
    assert done.stderr.count("\n") == 1


def test_a_program_with_lazy_imports_is_observed(server: Running, tmp_path: Path) -> None:
    """Python 3.15 imports a library at its first use; older ones ignore the option."""
    program = tmp_path / "program.py"
    program.write_text(f"import requests\nfor _ in range(3):\n    requests.get({server.url('/fixed/4')!r})\n")
    command = [sys.executable, "-X", "lazy_imports=all", "-m", "poolscope", "run", str(program)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(Path(testing.__file__).parents[1])},
    )
    assert done.returncode == 0
    assert "3 requests · 3 connections · 3 clients" in done.stderr
    assert "program.py:3 in <module>" in done.stderr
