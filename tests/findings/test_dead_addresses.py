"""PS116: it fires where new connections try addresses in vain before one answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
import requests

from poolscope import testing
from poolscope.findings.dead_addresses import MIN_CONNECTIONS, MIN_LOST
from poolscope.records import Phase
from tests.findings.rule import count, found
from tests.reports.stories import LINE, ORIGIN, Story
from tests.servers import in_thread


def lost(times: int, each: float, slowest: float | None = None) -> Story:
    """Connections that lost ``each`` seconds; the last of them lost ``slowest``, if that is given."""
    story = Story()
    client = story.client("requests.Session")
    for number in range(times):
        each = slowest if slowest is not None and number == times - 1 else each
        connection = story.connect(client, connect=each, attempts=2, lost_time=each, peer_address="127.0.0.1")
        story.exchange(client, connection)
        story.disconnect(connection)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS116", lost(MIN_CONNECTIONS - 1, 10.0)) is None
    assert count("PS116", lost(MIN_CONNECTIONS, MIN_LOST / MIN_CONNECTIONS)) == MIN_CONNECTIONS
    assert count("PS116", lost(MIN_CONNECTIONS, 0.9 * MIN_LOST / MIN_CONNECTIONS)) is None


def test_a_program_that_paused_once() -> None:
    assert count("PS116", lost(20, 0.0001, slowest=5.0)) is None
    assert count("PS116", lost(20, MIN_LOST / 20, slowest=5.0)) == 20


def test_it_says_what_was_lost() -> None:
    (finding,) = found("PS116", lost(3, 2.0))
    assert (finding.origin, finding.call_site, finding.severity) == (ORIGIN, LINE, "info")
    assert finding.cost == pytest.approx(6.0)
    assert "tried 3 addresses in vain, then 127.0.0.1 answered" in finding.sentence


def test_a_busy_event_loop_is_no_dead_address() -> None:
    def tried(busy: float, loop: int | None = 1) -> Story:
        story = Story()
        client = story.client("aiohttp.ClientSession")
        for _ in range(3):
            setup = {"connect": Phase(story.now, 1.0, busy), "total": Phase(story.now, 1.0, busy)}
            story.connect(client, setup=setup, attempts=2, lost_time=0.3, loop=loop)
        return story

    assert count("PS116", tried(busy=0.9)) is None
    (finding,) = found("PS116", tried(busy=0.1))
    assert finding.cost == pytest.approx(0.6)
    # In a thread it is the answer of the last address that was not read: the others were lost all the same.
    (finding,) = found("PS116", tried(busy=0.3, loop=None))
    assert finding.cost == pytest.approx(0.9)


def test_the_fix_is_the_library_s_own() -> None:
    for kind, words in (
        ("requests.Session", "HAS_IPV6 = False"),
        ("httpx.AsyncClient", "httpx.AsyncHTTPTransport(local_address="),
        ("aiohttp.ClientSession", "family=socket.AF_INET"),
    ):
        story = Story()
        client = story.client(kind)
        for _ in range(2):
            story.connect(client, connect=1.0, attempts=2, lost_time=1.0)
        (finding,) = found("PS116", story)
        assert words in finding.fix


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


@contextmanager
def silent(port: int) -> Iterator[tuple[str, int]]:
    """An address that neither accepts nor refuses connections: its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.2", port))
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


def by_requests(url: str) -> None:
    with requests.Session() as session:
        session.get(url, timeout=(0.2, 30))


def by_httpx(url: str) -> None:
    with httpx.Client(timeout=httpx.Timeout(30, connect=0.2), verify=False) as client:
        client.get(url)


def by_httpx_on_asyncio(url: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(verify=False) as client:
            await client.get(url)

    asyncio.run(main())


@pytest.mark.parametrize("get", [by_requests, by_httpx, by_httpx_on_asyncio])
def test_a_name_of_which_the_first_address_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, get: Callable[[str], None]
) -> None:
    with in_thread() as server, silent(server.port) as dead, testing.capture() as captured:
        real = (server.host, server.port)

        def resolved(*_: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, real)]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        for _ in range(2):
            get(f"http://twofold.test:{server.port}/")
    (finding,) = [finding for finding in captured.findings if finding.code == "PS116"]
    assert (finding.count, finding.call_site is not None) == (2, True)
    lost = sum(connection.lost_time or 0.0 for connection in captured.connections)
    assert lost >= 0.4
    assert 0.0 < (finding.cost or 0.0) <= lost, "less what the loop itself was busy, on a busy machine"
    assert "tried 2 addresses in vain, then 127.0.0.1 answered" in finding.sentence
