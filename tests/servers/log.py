"""What a truth server remembers about each connection it accepted; reported out of band, never in an answer.

Times are `time.perf_counter()` seconds. On Linux all processes of the machine share that clock, so a
test may compare them with the client's.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any


@dataclass(slots=True)
class SeenRequest:
    """One request as it arrived: the ``number``-th on its connection, from 1."""

    number: int
    method: str
    path: str
    arrived_at: float
    stream_id: int | None = None
    answered_at: float | None = None
    """When the server was about to write the first byte of its answer; None if it never did."""


@dataclass(slots=True)
class SeenConnection:
    """One accepted connection; ``serial`` counts accepts from 1."""

    serial: int
    peer_port: int | None
    accepted_at: float
    requests: list[SeenRequest] = field(default_factory=list)
    ended: str | None = None
    """``client`` (it closed or reset first), or the server's own reason; None while it is open."""
    ended_at: float | None = None
    onward_port: int | None = None
    """For a proxy: the local port of the connection that it opened to the origin."""

    def request(self, method: str, path: str, stream_id: int | None = None) -> SeenRequest:
        """Note a request that has arrived."""
        seen = SeenRequest(len(self.requests) + 1, method, path, perf_counter(), stream_id)
        self.requests.append(seen)
        return seen

    def end(self, how: str) -> None:
        """Note how it ended; the first reason stays."""
        if self.ended is None:
            self.ended, self.ended_at = how, perf_counter()


@dataclass(slots=True)
class ServerLog:
    """Every connection of one server, in the order of acceptance."""

    connections: list[SeenConnection] = field(default_factory=list)
    _serials: Any = field(default_factory=lambda: itertools.count(1), repr=False)

    def accept(self, peer_port: int | None) -> SeenConnection:
        """Note a connection that was accepted."""
        connection = SeenConnection(next(self._serials), peer_port, perf_counter())
        self.connections.append(connection)
        return connection

    def to_plain(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [dataclasses.asdict(connection) for connection in self.connections]

    @classmethod
    def from_plain(cls, plain: list[dict[str, Any]]) -> ServerLog:
        """The log from the result of `to_plain`."""
        return cls(
            [
                SeenConnection(**{**entry, "requests": [SeenRequest(**r) for r in entry["requests"]]})
                for entry in plain
            ]
        )

    @property
    def accepts(self) -> int:
        return len(self.connections)

    @property
    def open(self) -> int:
        return sum(connection.ended is None for connection in self.connections)

    @property
    def requests(self) -> list[SeenRequest]:
        return [request for connection in self.connections for request in connection.requests]
