"""PS105: it fires where requests get no connection, and says who holds them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolscope.findings.pool_exhausted import HOPELESS, LONG, MIN_WAITED
from poolscope.records import CallSite, Finding, Holder, HolderState
from tests.findings.rule import count, found
from tests.reports.stories import Story

ASKS = CallSite("job.py", 7, "ask")
POLLS = CallSite("poll.py", 3, "poll")


def held(slots: int, state: HolderState = "awaiting_headers", site: CallSite = POLLS) -> Holder:
    return Holder(slots, "GET", "http://api.test/poll", state, 0.0, site)


def waiting(*waits: float, connections: int = 10, **changes: Any) -> Story:
    story = Story()
    client = story.client()
    pool = story.pool(client)
    for _ in range(connections):
        story.connect(client, connect=0.0, pool=pool.id)
    for wait in waits:
        exchange = story.exchange(client, None, took=wait, pool_wait=wait, pool=pool.id, call_site=ASKS)
        story.records[-1] = replace(exchange, **changes)
    return story


def in_vain(*waits: float, error: str = "httpx.PoolTimeout", **changes: Any) -> Story:
    return waiting(*waits, status=None, error=error, **changes)


def the_finding(story: Story) -> Finding:
    (finding,) = found("PS105", story)
    return finding


def test_one_pool_timeout_of_any_length_is_enough() -> None:
    finding = the_finding(in_vain(0.001))
    assert (finding.count, finding.severity, finding.call_site) == (1, "warning", ASKS)
    assert "got no connection within 1 ms: all 10 that httpx.Client allows were in use" in finding.sentence


@pytest.mark.parametrize("error", ["urllib3.exceptions.EmptyPoolError", "httpcore.PoolTimeout"])
def test_every_librarys_name_for_it(error: str) -> None:
    assert count("PS105", in_vain(0.5, error=error)) == 1


def test_a_wait_that_the_program_gave_up_must_have_been_long() -> None:
    assert count("PS105", in_vain(HOPELESS - 0.1, error="asyncio.CancelledError")) is None
    assert count("PS105", in_vain(HOPELESS, error="asyncio.CancelledError")) == 1


def test_waits_that_ended_well_are_information() -> None:
    assert count("PS105", waiting(*[LONG] * (MIN_WAITED - 1))) is None
    assert count("PS105", waiting(*[LONG - 0.1] * 20)) is None
    finding = the_finding(waiting(*[LONG] * MIN_WAITED))
    assert (finding.count, finding.severity) == (MIN_WAITED, "info")
    assert finding.parts == {"pool_wait": LONG * MIN_WAITED}


def test_a_pool_that_was_never_full_made_nobody_wait() -> None:
    assert count("PS105", waiting(*[LONG] * MIN_WAITED, connections=9)) is None
    assert count("PS105", in_vain(HOPELESS, error="asyncio.CancelledError", connections=9)) is None
    assert count("PS105", in_vain(0.001, connections=9)) == 1


def test_open_responses_that_make_others_give_up_are_a_warning() -> None:
    story = in_vain(*[LONG] * MIN_WAITED, error="asyncio.CancelledError", holders=[held(10, "reading")])
    assert the_finding(story).severity == "warning"
    story = in_vain(*[LONG] * MIN_WAITED, error="asyncio.CancelledError", holders=[held(10)])
    assert the_finding(story).severity == "info"


def test_the_route_that_holds_most_slots_is_named() -> None:
    finding = the_finding(in_vain(2.0, holders=[held(7), held(3, "sending", ASKS)]))
    assert finding.call_site == POLLS
    assert "7 of them by GET http://api.test/poll, waiting for the answer" in finding.sentence
    assert "separate client" in finding.fix
    assert finding.notes == [
        "7 held by GET http://api.test/poll, waiting for the answer, the oldest for 2.0 s, sent at poll.py:3 in poll.",
        "3 held by GET http://api.test/poll, being sent, the oldest for 2.0 s, sent at job.py:7 in ask.",
    ]


def test_no_route_holds_most() -> None:
    finding = the_finding(in_vain(2.0, holders=[held(5), held(5, "sending", ASKS)]))
    assert finding.call_site == ASKS
    assert finding.sentence.endswith("were in use.")


def test_slots_that_were_never_given_back() -> None:
    story = in_vain(0.1, error="asyncio.CancelledError", holders=[held(1, "not_given_back")])
    assert count("PS105", story) is None
    finding = the_finding(in_vain(0.1, holders=[held(1, "not_given_back")]))
    assert finding.call_site == POLLS
    assert "release_conn" in finding.fix


def test_streams_of_one_connection() -> None:
    holders = [replace(held(100, "reading"), stream=True)]
    finding = the_finding(in_vain(6.0, error="asyncio.CancelledError", holders=holders))
    assert "all 100 streams of the HTTP/2 connection were taken" in finding.sentence


def test_waits_for_streams_are_not_the_pools_limit() -> None:
    finding = the_finding(in_vain(6.0, error="asyncio.CancelledError", waited_for="stream"))
    assert "all streams of its HTTP/2 connection were taken" in finding.sentence
    assert "max_connections" not in finding.fix


def test_a_wait_that_is_not_over() -> None:
    def story(state: HolderState) -> Story:
        return waiting(2.0, state="waiting", status=None, holders=[held(1, state)])

    assert count("PS105", story("awaiting_headers")) is None
    finding = the_finding(story("not_given_back"))
    assert (finding.severity, finding.call_site) == ("warning", POLLS)
    assert "is waiting for a connection" in finding.sentence
