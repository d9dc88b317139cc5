"""PS102: it fires where one line has built many clients, and all are open at the end."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.never_closed import MIN_OPEN, PER_THREAD
from poolscope.reports import overview, text
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story


def kept(number: int, requests: int = 1, close_kind: str = "open_at_exit", **changes: Any) -> Story:
    story = Story()
    clients = [story.client(**changes) for _ in range(number)]
    for client in clients:
        story.exchange(client, story.connect(client))
    for client in clients:
        story.close(client, requests, closed_at=None, close_kind=close_kind)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS102", kept(MIN_OPEN - 1)) is None
    assert count("PS102", kept(MIN_OPEN)) == MIN_OPEN


def test_one_for_the_whole_program() -> None:
    assert count("PS102", kept(1, requests=10_000)) is None


def test_clients_that_differ() -> None:
    story = Story()
    for number in range(100):
        client = story.client(settings=number + 1)
        story.exchange(client, story.connect(client))
        story.close(client, closed_at=None, close_kind="open_at_exit")
    assert count("PS102", story) is None


def test_clients_without_a_request_or_with_unknown_settings() -> None:
    assert count("PS102", kept(50, requests=0)) is None
    assert count("PS102", kept(50, settings=None)) is None


def used_in_threads(clients: int, threads: int, **changes: Any) -> Story:
    story = Story()
    for number in range(clients):
        client = story.client(**changes)
        connection = story.connect(client)
        story.exchange(client, connection, thread=number % threads)
        story.exchange(client, connection, thread=number % threads)
        story.close(client, 2, closed_at=None, close_kind="open_at_exit")
    return story


@pytest.mark.parametrize("kind", ["requests.Session", "httpx.AsyncClient"])
def test_one_for_each_thread_or_for_the_loop_in_each(kind: str) -> None:
    assert count("PS102", used_in_threads(40, 40, kind=kind)) is None
    assert count("PS102", used_in_threads(40 * PER_THREAD - 1, 40, kind=kind)) is None
    assert count("PS102", used_in_threads(40 * PER_THREAD, 40, kind=kind)) == 40 * PER_THREAD
    assert count("PS102", used_in_threads(MIN_OPEN, 1, kind=kind)) == MIN_OPEN


def test_a_client_that_belongs_to_an_event_loop_is_shared_only_there() -> None:
    assert "one httpx.AsyncClient per event loop" in found("PS102", kept(20, kind="httpx.AsyncClient"))[0].fix
    assert "one httpx.Client and share it" in found("PS102", kept(20))[0].fix


def test_its_line() -> None:
    (finding,) = found("PS102", kept(20))
    assert (finding.call_site, finding.origin, finding.severity) == (LINE, None, "warning")


def test_it_costs_what_the_cost_column_shows_of_its_line() -> None:
    story = kept(20)
    (finding,) = found("PS102", story)
    (row,) = overview.of(story.records).rows()
    tallies = overview.of(story.records).all_connections()
    (tally,) = tallies.values()
    assert finding.cost == pytest.approx(row.construction + tally.setup_total + tally.closing)
    assert finding.cost == pytest.approx(20 * (0.01 + 0.01))
    shown = text.render(overview.of(story.records), width=200)
    assert "400 ms, 20 ms of each request, went into clients that were never closed;" in shown
    assert "cost    400 ms of building, setup and closing" in shown


def test_connections_that_a_fault_closes_are_another_findings() -> None:
    story = Story()
    clients = [story.client() for _ in range(MIN_OPEN)]
    for client in clients:
        refused = story.connect(client, connect=0.5)
        story.exchange(client, refused)
        story.disconnect(refused, "connection_close_header", closed_by="server")
        story.exchange(client, story.connect(client))
    for client in clients:
        story.close(client, 2, closed_at=None, close_kind="open_at_exit")
    (finding,) = found("PS102", story)
    assert finding.cost == pytest.approx(MIN_OPEN * (0.01 + 0.01))


def test_connections_that_the_pool_s_limits_close_are_another_findings_too() -> None:
    def with_surplus(reason: str) -> Story:
        story = Story()
        for _ in range(20):
            client = story.client()
            surplus = story.connect(client, connect=0.2)
            story.exchange(client, surplus)
            story.disconnect(surplus, reason)
            story.exchange(client, story.connect(client))
            story.close(client, 2, closed_at=None, close_kind="open_at_exit")
        return story

    for reason in ("pool_full", "max_keepalive_surplus", "keepalive_expired"):
        (finding,) = found("PS102", with_surplus(reason))
        assert finding.cost == pytest.approx(20 * (0.01 + 0.01)), reason
