"""Programs under ``poolscope run`` in real processes, against a truth server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from poolscope import records
from poolscope.records import Summary
from tests.servers import Running, in_thread

SOURCE = str(Path(__file__).resolve().parents[2] / "src")


class Program:
    """One program file, run with and without poolscope."""

    def __init__(self, directory: Path, server: Running) -> None:
        self.directory = directory
        self.server = server
        self.path = directory / "program.py"
        self.saved = directory / "saved.jsonl"

    def write(self, text: str) -> Program:
        """The text may use {url}."""
        self.path.write_text(text.replace("{url}", self.server.url("/fixed/")), encoding="utf-8")
        return self

    def environment(self, **more: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("POOLSCOPE")}
        plain.pop("NO_COLOR", None)
        return plain | {"PYTHONPATH": SOURCE, "COLUMNS": "120"} | more

    def bare(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self._finish([sys.executable, str(self.path), *arguments], **options)

    def run(
        self, *options: str, arguments: tuple[str, ...] = (), **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """``poolscope run --save … OPTIONS program.py ARGUMENTS``."""
        return self._finish([*self.command(*options), *arguments], **more)

    def command(self, *options: str) -> list[str]:
        return [*POOLSCOPE, "run", "--save", str(self.saved), *options, str(self.path)]

    def poolscope(self, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return self._finish([*POOLSCOPE, *words], **more)

    def start(self, *options: str, **more: Any) -> subprocess.Popen[str]:
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        environment = self.environment(**more.pop("env", {}))
        return subprocess.Popen(
            self.command(*options), env=environment, cwd=self.directory, text=True, **more
        )

    def _finish(self, command: list[str], env: dict[str, str] | None = None, **more: Any) -> Any:
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        environment = self.environment(**(env or {}))
        return subprocess.run(
            command, env=environment, cwd=self.directory, text=True, timeout=60, check=False, **more
        )

    def records(self) -> list[records.Record]:
        return [records.from_json(line) for line in self.saved.read_text(encoding="utf-8").splitlines()]

    def of(self, kind: type[Any]) -> list[Any]:
        return [record for record in self.records() if isinstance(record, kind)]

    def summary(self) -> Summary:
        last = self.records()[-1]
        assert isinstance(last, Summary)
        return last


POOLSCOPE = [sys.executable, "-m", "poolscope"]


@pytest.fixture(scope="package")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture
def program(tmp_path: Path, server: Running) -> Program:
    return Program(tmp_path, server)


@pytest.fixture
def accepted(server: Running) -> Callable[[], int]:
    """How many connections the server has accepted since the test began."""
    # It accepts in order, so after this one none is left that a program of an earlier test opened as it ended.
    with socket.create_connection((server.host, server.port)) as own:
        port = own.getsockname()[1]
        settled = server.settled(lambda log: any(log.connections) and log.connections[-1].peer_port == port)
        before = len(settled.connections)
    return lambda: len(server.log().connections) - before


@pytest.fixture(scope="package")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """An interpreter that reads poolscope.pth, as if poolscope were installed."""
    directory = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    site = next(directory.glob("lib/python*/site-packages"))
    shutil.copy(Path(SOURCE) / "poolscope.pth", site)
    ours = [path for path in sys.path if "site-packages" in path]
    (site / "_others.pth").write_text("\n".join([SOURCE, *ours]) + "\n")
    return str(directory / "bin" / "python"), {"PYTHONPATH": ""}
