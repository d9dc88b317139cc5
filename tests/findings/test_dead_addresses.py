"""PS116: it fires where new connections try addresses in vain before one answers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests

from poolscope import testing
from poolscope.findings.dead_addresses import MIN_CONNECTIONS, MIN_LOST
from tests.findings.rule import count, found
from tests.reports.stories import LINE, ORIGIN, Story
from tests.servers import in_thread


def lost(times: int, each: float) -> Story:
    story = Story()
    client = story.client("requests.Session")
    for _ in range(times):
        connection = story.connect(client, connect=each, attempts=2, lost_time=each, peer_address="127.0.0.1")
        story.exchange(client, connection)
        story.disconnect(connection)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS116", lost(MIN_CONNECTIONS - 1, 10.0)) is None
    assert count("PS116", lost(MIN_CONNECTIONS, MIN_LOST / MIN_CONNECTIONS)) == MIN_CONNECTIONS
    assert count("PS116", lost(MIN_CONNECTIONS, 0.9 * MIN_LOST / MIN_CONNECTIONS)) is None


def test_it_says_what_was_lost() -> None:
    (finding,) = found("PS116", lost(3, 2.0))
    assert (finding.origin, finding.call_site, finding.severity) == (ORIGIN, LINE, "info")
    assert finding.cost == pytest.approx(6.0)
    assert "tried 3 addresses that failed, then 127.0.0.1 answered" in finding.sentence


def test_a_client_per_request_says_that_sharing_hides_it() -> None:
    story = Story()
    for _ in range(10):
        client = story.client()
        connection = story.connect(client, connect=1.0, attempts=2, lost_time=0.9)
        story.exchange(client, connection)
        story.disconnect(connection)
        story.close(client)
    assert count("PS116", story) is None
    (finding,) = found("PS101", story)
    assert any(note.startswith("The change hides this, but does not fix it") for note in finding.notes)


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that takes no connection and refuses none: its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.2", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):
            queued = socket.socket()
            queued.setblocking(False)
            with suppress(BlockingIOError):
                queued.connect(full.getsockname())
            waiting.append(queued)
        yield full.getsockname()
        for queued in waiting:
            queued.close()


def test_a_name_of_which_the_first_address_does_not_answer(
    silent: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_thread() as server, testing.capture() as captured:
        real = (server.host, server.port)

        def resolved(*_: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (silent, real)]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        for _ in range(2):
            with requests.Session() as session:
                session.get(f"http://twofold.test:{server.port}/", timeout=0.2)
    (finding,) = captured.findings
    assert (finding.code, finding.count) == ("PS116", 2)
    assert 0.4 <= (finding.cost or 0.0) < 1.0
