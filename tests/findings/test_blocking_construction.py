"""PS126: it fires where building a client inside a running loop holds something up."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.blocking_construction import MIN_BLOCKED, MIN_LOOPS, PATIENCE, BlockingConstruction
from poolscope.findings.known import Known
from poolscope.findings.lives import MOST_CALLS
from poolscope.records import Client, Connection, Exchange
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story


def built(seconds: float, times: int = 1, *, loop: int = 1, other: int | None = 1, **changes: Any) -> Story:
    """A client is built while a request runs on the loop ``other``."""
    story = Story()
    shared = story.client(kind="httpx.AsyncClient", built_in=0.001, loop=None)
    connection = story.connect(shared, loop=other)
    for _ in range(times):
        began = story.now
        story.now += 0.001
        client = story.client(kind="httpx.AsyncClient", built_in=seconds, loop=loop, **changes)
        story.exchange(shared, connection, started_at=began, loop=other)
        story.close(client, 0)
    return story


def one_per_loop(loops: int, seconds: float, requests: int = 1, kind: str = "httpx.AsyncClient") -> Story:
    story = Story()
    for loop in range(1, loops + 1):
        client = story.client(kind=kind, built_in=seconds, loop=loop)
        connection = story.connect(client, connect=0.01, loop=loop)
        story.exchange(client, connection, loop=loop)
        story.disconnect(connection, close_time=0.005)
        story.close(client, requests)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS126", built(MIN_BLOCKED - 0.001)) is None
    assert count("PS126", built(MIN_BLOCKED)) == 1


def test_an_open_answer_is_not_held_up() -> None:
    """``async with one.stream(…): other = httpx.AsyncClient()`` is a single task."""
    story = Story()
    shared = story.client(kind="httpx.AsyncClient", built_in=0.001, loop=None)
    connection = story.connect(shared, loop=1)
    began = story.now
    story.now += 0.002
    headers_at = story.now - 0.001
    story.client(kind="httpx.AsyncClient", built_in=1.0, loop=1)
    story.exchange(shared, connection, started_at=began, headers_at=headers_at, loop=1)
    assert count("PS126", story) is None


def test_outside_of_a_loop_nothing_is_blocked() -> None:
    story = Story()
    shared = story.client(loop=None)
    connection = story.connect(shared)
    story.close(story.client(built_in=1.0, loop=None), 0)
    story.exchange(shared, connection, started_at=0.0)
    assert count("PS126", story) is None


def test_a_script_that_builds_its_client_first_holds_nothing_up() -> None:
    story = Story()
    client = story.client(kind="httpx.AsyncClient", built_in=1.0, loop=1)
    connection = story.connect(client, loop=1)
    for _ in range(3):
        story.exchange(client, connection, loop=1)
    story.close(client, 3)
    assert count("PS126", story) is None


def test_two_clients_one_after_the_other_hold_nothing_up() -> None:
    story = Story()
    for _ in range(2):
        client = story.client(kind="httpx.AsyncClient", built_in=1.0, loop=1)
        story.exchange(client, story.connect(client, loop=1), loop=1)
    assert count("PS126", story) is None


def test_a_request_of_another_loop_goes_on() -> None:
    assert count("PS126", built(1.0, loop=1, other=2)) is None


def test_a_request_that_never_ends_is_held_up_as_well() -> None:
    story = Story()
    client = story.client(kind="httpx.AsyncClient", built_in=0.001, loop=None)
    connection = story.connect(client, loop=1)
    began = story.now - 0.001
    story.client(kind="httpx.AsyncClient", built_in=0.1, loop=1)
    story.exchange(
        client, connection, started_at=began, finished_at=None, status=None, state="awaiting_headers", loop=1
    )
    assert count("PS126", story) == 1


def test_it_waits_for_the_end_of_those_in_progress_but_not_for_ever() -> None:
    story = Story()
    client = story.client(kind="httpx.AsyncClient", built_in=0.001, loop=None)
    connection = story.connect(client, loop=1)
    began = story.now - 0.001
    story.client(kind="httpx.AsyncClient", built_in=0.1, loop=1)
    for _ in range(PATIENCE + 1):
        story.exchange(client, connection, loop=1)
    story.exchange(client, connection, started_at=began, loop=1)
    assert count("PS126", story) is None


def test_it_says_for_how_long() -> None:
    (finding,) = found("PS126", built(0.08, times=3))
    assert (finding.call_site, finding.origin, finding.severity) == (LINE, None, "info")
    assert "3 times" in finding.sentence
    assert "80 ms" in finding.sentence
    assert finding.cost == pytest.approx(0.24)


@pytest.mark.parametrize(("kind", "loops"), [("aiohttp.ClientSession", 10), ("requests.Session", None)])
def test_only_a_client_that_needs_a_loop_must_be_built_in_each(kind: str, loops: int | None) -> None:
    assert count("PS126", one_per_loop(10, 0.04, requests=5, kind=kind)) == loops


def test_a_loop_for_each_call() -> None:
    enough = MIN_BLOCKED / (MIN_LOOPS - 1)
    assert count("PS126", one_per_loop(MIN_LOOPS, enough - 0.001)) is None
    assert count("PS126", one_per_loop(MIN_LOOPS - 1, 1.0)) is None
    assert count("PS126", one_per_loop(MIN_LOOPS, enough + 0.001)) == MIN_LOOPS
    assert count("PS126", one_per_loop(10, 0.04, requests=MOST_CALLS)) == 10
    assert count("PS126", one_per_loop(10, 0.04, requests=MOST_CALLS + 1)) is None


def test_a_loop_for_each_call_costs_its_connections_too() -> None:
    (finding,) = found("PS126", one_per_loop(10, 0.04))
    assert (
        finding.sentence
        == "10 event loops ran one after another, and each had to build its own httpx.AsyncClient."
    )
    assert finding.fix == (
        "Start the loop once, by one asyncio.run() around all the calls, and share one httpx.AsyncClient in it."
    )
    assert finding.cost == pytest.approx(10 * (0.04 + 0.01 + 0.005))
    assert finding.severity == "info"


def test_loops_that_run_side_by_side_need_a_client_each() -> None:
    story = Story()
    clients = [story.client(kind="httpx.AsyncClient", built_in=0.1, loop=loop) for loop in range(1, 9)]
    for client in clients:
        story.exchange(client, story.connect(client, loop=client.loop), loop=client.loop)
    for client in clients:
        story.close(client, 1)
    assert count("PS126", story) is None


def test_a_client_per_request_explains_it() -> None:
    story = built(0.08)
    for _ in range(5):
        story.throwaway(kind="httpx.AsyncClient", built_in=0.08, loop=1)
    assert count("PS126", story) is None
    (finding,) = found("PS101", story)
    assert "blocked them for up to 80 ms" in finding.notes[0]


def test_it_advises_a_shared_context_only_where_the_certificates_took_the_time() -> None:
    (certificates,) = found("PS126", built(0.1, ca_time=0.05))
    assert "verify=" in certificates.fix
    (something_else,) = found("PS126", built(0.1, times=2, ca_time=0.04))
    assert "verify=" not in something_else.fix
    assert "80 ms" in something_else.fix


def test_ordinary_requests_are_needed_while_it_is_open_whether_one_was_held_up() -> None:
    rule = BlockingConstruction()
    story = built(MIN_BLOCKED)
    *before, waited, _ = story.records
    rule.known = Known()
    for record in before:
        match record:
            case Client():
                rule.client(record)
            case Connection():
                rule.connection(record)
            case Exchange():
                rule.exchange(record)
            case _:
                pytest.fail(f"{record} is not read here")
    assert rule.needs(story.pid, 1, "http://api.test")
    assert not rule.needs(story.pid + 1, 1, "http://api.test")
    assert isinstance(waited, Exchange)
    rule.exchange(waited)
    assert not rule.needs(story.pid, 1, "http://api.test")
    (finding,) = rule.findings()
    assert finding.count == 1
