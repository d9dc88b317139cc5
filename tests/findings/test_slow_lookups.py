"""PS124: it fires where looking names up takes most of the setup, again and again."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from poolscope import testing
from poolscope.findings.slow_lookups import BUSY, MIN_LOOKUPS, MIN_MEAN, MIN_SECONDS, SHARE, TIMES_CONNECT
from poolscope.records import Connection, Phase
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story
from tests.servers import Running

SLOW = MIN_SECONDS / MIN_LOOKUPS


def lookups(
    times: int,
    dns: float | Callable[[int], float] = SLOW,
    connect: float = 0.001,
    tls: float = 0.0,
    apart: float = 1.0,
    busy: float | None = None,
    **changes: Any,
) -> Story:
    """Connections of one client, opened every ``apart`` seconds; ``dns`` may be said of each by its number."""
    story = Story()
    client = story.client("requests.Session")
    for number in range(times):
        looked_up = dns(number) if callable(dns) else dns
        began = number * apart
        setup = {
            "dns": Phase(began, looked_up),
            "connect": Phase(began + looked_up, connect, busy),
            "total": Phase(began, looked_up + connect + tls),
        }
        connection = story.connect(client, setup=setup, **changes)
        story.exchange(client, connection)
        story.disconnect(connection)
    return story


def test_below_and_at_the_number() -> None:
    assert count("PS124", lookups(MIN_LOOKUPS - 1, 10 * SLOW)) is None
    assert count("PS124", lookups(MIN_LOOKUPS)) == MIN_LOOKUPS


def test_below_and_at_the_seconds() -> None:
    assert count("PS124", lookups(MIN_LOOKUPS, 0.99 * SLOW)) is None
    assert count("PS124", lookups(100, 1.01 * MIN_MEAN)) == 100
    assert count("PS124", lookups(100, 0.99 * MIN_MEAN)) is None


def test_a_program_that_paused_in_one_lookup() -> None:
    assert count("PS124", lookups(10, lambda number: 0.9 if number == 3 else 0.001)) is None
    assert count("PS124", lookups(10, lambda number: 0.9 if number == 3 else 1.01 * MIN_MEAN)) == 10


def test_below_and_at_the_share() -> None:
    rest = SLOW / SHARE - SLOW - 0.001
    assert count("PS124", lookups(10, tls=0.99 * rest)) == 10
    assert count("PS124", lookups(10, tls=1.02 * rest)) is None
    assert count("PS124", lookups(10, connect=0.99 * SLOW / TIMES_CONNECT)) == 10
    assert count("PS124", lookups(10, connect=1.01 * SLOW / TIMES_CONNECT)) is None


def test_lookups_at_the_same_time_may_be_one() -> None:
    assert count("PS124", lookups(100, 1.0, apart=0.001)) is None


def test_a_lookup_on_an_event_loop_may_wait_for_a_thread() -> None:
    assert count("PS124", lookups(100, loop=1)) is None


def test_a_lookup_in_a_busy_program_may_wait_for_its_threads() -> None:
    assert count("PS124", lookups(100, busy=0.9 * BUSY)) == 100
    assert count("PS124", lookups(100, busy=BUSY)) is None


def test_the_name_of_a_proxy_is_not_the_servers() -> None:
    assert count("PS124", lookups(100, via="tunnel")) is None


def test_it_says_how_long() -> None:
    (finding,) = found("PS124", lookups(10, 0.1))
    assert (finding.call_site, finding.severity, finding.cost) == (LINE, "info", None)
    assert (
        "10 lookups of the name in http://api.test, one after the other, took 100 ms each" in finding.sentence
    )


def test_a_client_per_request_explains_it() -> None:
    story = Story()
    for _ in range(10):
        client = story.client()
        began = story.now
        setup = {"dns": Phase(began, 0.1), "connect": Phase(began + 0.1, 0.01), "total": Phase(began, 0.11)}
        connection = story.connect(client, setup=setup, connect=0.11)
        story.exchange(client, connection)
        story.disconnect(connection)
        story.close(client)
    assert count("PS124", story) is None
    (finding,) = found("PS101", story)
    assert any("lookups of the name" in note for note in finding.notes)


def came_in_time(connection: Connection) -> bool:
    """Whether its lookup counts, on a machine that is busy with other things as well."""
    return (connection.setup["connect"].busy or 0.0) < BUSY


@pytest.mark.parametrize(("answers_in", "expected"), [(0.06, True), (0.0, False)])
def test_a_slow_name_server(
    server: Running, monkeypatch: pytest.MonkeyPatch, answers_in: float, expected: bool
) -> None:
    def resolved(*_: Any) -> list[Any]:
        time.sleep(answers_in)  # what is found
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (server.host, server.port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    limits = httpx.Limits(max_keepalive_connections=0)
    with testing.capture() as captured, httpx.Client(limits=limits, verify=False) as client:
        while sum(map(came_in_time, captured.connections)) <= MIN_LOOKUPS:
            client.get(f"http://slow-name.test:{server.port}/")
            captured.settle()
    assert ("PS124" in [finding.code for finding in captured.findings]) is expected
