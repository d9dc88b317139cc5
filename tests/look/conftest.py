"""Watched programs in real processes; each test has its own runtime folder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolscope.look.client import CannotLookError, Watch
from poolscope.look.merge import to_json, together
from tests.cli.conftest import POOLSCOPE, Program, installed
from tests.cli.waiting import eventually
from tests.servers import Running, in_thread

__all__ = ["HELD", "Watched", "holds_and_waits", "installed"]

HELD = """
import threading
import httpx

pool_of_one = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=60)
streaming = pool_of_one.stream("GET", "{url}".replace("fixed", "size/400000"))
answer = streaming.__enter__()

def waits():
    pool_of_one.get("{url}" + "waiting?token=canary")

threading.Thread(target=waits).start()
for _ in range(5):
    httpx.get("{url}")
"""
"""One slot, held by an open response at line 7; a request at line 10 waits for it."""


def holds_and_waits(look: dict[str, Any]) -> bool:
    """Whether `HELD` has done all that it does until its end."""
    totals = look["totals"]
    found = {each["code"]: each["count"] for each in look["findings"]}
    return found.get("PS101") == 5 and (totals["opened"], totals["open"], totals["waiting"]) == (6, 1, 1)


@pytest.fixture(scope="package")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


class Watched(Program):
    """A program that is watched by `poolscope top`."""

    def __init__(self, directory: Path, server: Running, runtime: str) -> None:
        super().__init__(directory, server)
        self.runtime = Path(runtime)
        self.processes: list[subprocess.Popen[str]] = []
        self.others: list[int] = []
        """Child processes that must end with the test."""

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(**{"XDG_RUNTIME_DIR": str(self.runtime), **more})

    def starts(self, text: str, *options: str, **more: Any) -> subprocess.Popen[str]:
        """Run ``poolscope run --live OPTIONS``, which hangs until the test is over."""
        self.write(text)
        command = [*POOLSCOPE, "run", "--live", "--quiet", *options, str(self.path)]
        return self._started(command, **more)

    def starts_by_variable(self, text: str, variable: str, python: str, **more: str) -> subprocess.Popen[str]:
        self.write(text)
        return self._started([python, str(self.path)], POOLSCOPE=variable, **more)

    def _started(self, command: list[str], **more: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            env=self.environment(**more),
            cwd=self.directory,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    @property
    def sockets(self) -> list[Path]:
        return sorted(self.runtime.glob("poolscope/*.sock"))

    def top(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self.poolscope("top", *words, **more)

    def look(self, *pids: int) -> dict[str, Any]:
        """One look, by ``poolscope top --json``."""
        answer = self.top("--json", *map(str, pids))
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout))

    def look_when(self, condition: Any, *pids: int) -> dict[str, Any]:
        """The first look that matches, taken in this process: a command takes half a second to start."""
        watching: list[Watch] = []
        looks: list[dict[str, Any]] = []

        def found() -> bool:
            try:
                watching.append(Watch(pids))
            except CannotLookError:
                return False
            return True

        def fits() -> bool:
            watching[0].read()
            if watching[0].complete:
                looks.append(json.loads(to_json(together(watching[0].looks()))))
            return bool(looks) and bool(condition(looks[-1]))

        eventually(found)
        try:
            eventually(fits)
        finally:
            watching[0].close()
        return looks[-1]


@pytest.fixture
def watched(tmp_path: Path, server: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    runtime = tempfile.mkdtemp(prefix="ps")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    program = Watched(tmp_path, server, runtime)
    yield program
    for process in program.processes:
        process.kill()
        process.wait()
    for pid in program.others:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(runtime)


@pytest.fixture
def python() -> str:
    return sys.executable
