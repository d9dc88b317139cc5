"""PS123: it fires where answers are cut off after the same wait again and again."""

from __future__ import annotations

import pytest

from poolscope.findings.cut_while_waiting import MIN_CUT, MIN_WAIT, SPREAD
from tests.findings.rule import count, found
from tests.reports.stories import Story


def cut(waits: list[float], reason: str = "server_closed_no_response", status: int | None = None) -> Story:
    story = Story()
    client = story.client()
    for wait in waits:
        connection = story.connect(client)
        story.exchange(client, connection, wait, status=status, error="requests.ConnectionError")
        story.disconnect(connection, reason, closed_by="server")
    return story


def test_times_below_and_at_the_threshold() -> None:
    assert count("PS123", cut([60.0] * (MIN_CUT - 1))) is None
    assert count("PS123", cut([60.0] * MIN_CUT)) == MIN_CUT


def test_the_wait_below_and_at_the_threshold() -> None:
    assert count("PS123", cut([MIN_WAIT - 0.001] * 5)) is None
    assert count("PS123", cut([MIN_WAIT + 0.001] * 5)) == 5


def test_waits_that_differ() -> None:
    assert count("PS123", cut([60.0, 60.0 * (1 - SPREAD) + 0.1, 60.0])) == 3
    assert count("PS123", cut([60.0, 60.0 * (1 - SPREAD) - 0.1, 60.0])) is None


def test_it_says_after_what_wait() -> None:
    (finding,) = found("PS123", cut([60.1, 60.0, 59.9]))
    assert "after 60.0 s each time" in finding.sentence
    assert finding.cost == pytest.approx(180.0)


@pytest.mark.parametrize("reason", ["timeout", "cancelled", "client_close_active"])
def test_requests_that_this_side_ended(reason: str) -> None:
    assert count("PS123", cut([60.0] * 5, reason)) is None


def test_an_answer_that_had_begun() -> None:
    assert count("PS123", cut([60.0] * 5, status=200)) is None
