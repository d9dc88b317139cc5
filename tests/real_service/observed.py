"""An example under ``poolscope run --save``: its output, its records, its report."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from poolscope.records import Client, Connection, Exchange, Finding, Summary, from_json

HOUSE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Use:
    """The clients built in one function, in order, and what they did."""

    clients: list[Client]
    connections: list[Connection]
    exchanges: list[Exchange]

    @property
    def reused(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.reused]

    @property
    def closes(self) -> Counter[str | None]:
        return Counter(connection.close_reason for connection in self.connections)

    def setup(self, phase: str) -> float:
        """Seconds."""
        return sum(connection.setup[phase].duration for connection in self.connections)

    @property
    def figures(self) -> tuple[int, int, int]:
        """Clients, requests, connections."""
        return len(self.clients), len(self.exchanges), len(self.connections)


@dataclass(frozen=True, slots=True)
class Seen:
    """One finished run."""

    said: str
    report: str
    clients: dict[int, Client]
    connections: dict[int, Connection]
    exchanges: list[Exchange]
    findings: list[Finding]
    summary: Summary

    def of(self, function: str, kind: str = "") -> Use:
        """What was done by the clients built in ``function``."""
        chosen = {
            client.id: client
            for client in self.clients.values()
            if client.call_site is not None
            and client.call_site.function == function
            and client.kind.startswith(kind)
        }
        return Use(
            list(chosen.values()),
            [connection for connection in self.connections.values() if connection.client in chosen],
            [exchange for exchange in self.exchanges if exchange.client in chosen],
        )

    def row(self, kind: str) -> list[tuple[int, int, int]]:
        """Clients, requests and connections as the report's rows of that kind show them."""
        found = re.findall(rf"^  {re.escape(kind)} +([\d,]+) +([\d,]+) +([\d,]+) ", self.report, re.MULTILINE)
        rows = [[int(cell.replace(",", "")) for cell in cells] for cells in found]
        return [(clients, requests, connections) for clients, requests, connections in rows]

    @property
    def unfolded(self) -> str:
        """The report on one line, however it was wrapped."""
        return " ".join(self.report.split())

    def ports(self) -> Counter[int | None]:
        """How many requests each local port carried."""
        return Counter(self.connections[exchange.connection].local_port for exchange in self.exchanges)  # type: ignore[index]


def run(example: str, arguments: Iterable[str], saved: Path, environment: dict[str, str]) -> Seen:
    """Run ``examples/EXAMPLE.py``; AssertionError if it fails."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("POOLSCOPE")}
    command = [sys.executable, "-m", "poolscope", "run", "--save", str(saved), f"examples/{example}.py"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=HOUSE,
        env=plain | {"COLUMNS": "120", "NO_COLOR": "1", "PYTHONPATH": str(HOUSE / "src")} | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return _read(done.stdout, done.stderr, saved)


def _read(said: str, report: str, saved: Path) -> Seen:
    records = [from_json(line) for line in saved.read_text(encoding="utf-8").splitlines()]
    summary = records[-1]
    assert isinstance(summary, Summary)
    return Seen(
        said,
        report,
        {record.id: record for record in records if isinstance(record, Client)},
        {record.id: record for record in records if isinstance(record, Connection)},
        [record for record in records if isinstance(record, Exchange) and record.state is None],
        [record for record in records if isinstance(record, Finding)],
        summary,
    )
