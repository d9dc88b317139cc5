"""When a connection was closed, and how long that took: the same moments in every library."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from poolscope.facts import now
from tests.servers import Certificates, ServerConfig, in_thread
from tests.truth.probes import ALL
from tests.truth.watching import watch

Closes = dict[int, tuple[float, float]]
"""Local port → when the socket's own close was called, and when it returned."""


@pytest.fixture
def closes(monkeypatch: pytest.MonkeyPatch) -> Closes:
    """Times the closes of connected sockets: every library ends at ``socket.socket.close``."""
    seen: Closes = {}
    original: Callable[[Any], None] = socket.socket.close

    def close(self: Any) -> None:
        try:
            port = socket.socket.getsockname(self)[1]
        except (OSError, IndexError):
            port = None
        began = now()
        original(self)
        if port is not None:
            seen.setdefault(port, (began, now()))

    monkeypatch.setattr(socket.socket, "close", close)
    return seen


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("by", ["client", "response", "server"])
def test_a_close_is_dated_by_its_beginning(
    name: str, secure: bool, by: str, closes: Closes, certificates: Certificates
) -> None:
    config = ServerConfig(certificate=certificates.server if secure else None)
    with in_thread(config) as server, watch(name, trust=certificates.trusting()) as (probe, captured):
        if by == "client":
            probe.get(server.url("/fixed/1"))
            asked_at = now()
            probe.close()
        elif by == "response":
            response = probe.open(server.url("/size/4000000/1"))
            asked_at = now()
            probe.leave(response)
        else:
            asked_at = now()  # httpcore may notice as soon as it has read the answer
            probe.get(server.url("/last/1"))
            server.settled(lambda log: log.open == 0)
            probe.get(server.url("/fixed/2"))
    first = captured.connections[0]
    assert first.closed_at is not None
    began, ended = closes[first.local_port or 0]
    assert asked_at <= first.closed_at <= began
    if (
        name == "aiohttp"
    ):  # its event loop closes the socket later, and without being asked if the server has closed
        assert (first.close_time is None) is (by == "server")
        return
    assert first.close_time is not None
    assert first.closed_at + first.close_time >= ended
