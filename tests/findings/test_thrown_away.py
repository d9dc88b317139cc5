"""PS121: it fires where connections are closed because the request on them was given up."""

from __future__ import annotations

import pytest

from poolscope.findings.thrown_away import ALIKE, MANY_SERVED, MIN_LOST
from poolscope.records import CallSite
from tests.findings.rule import count, found
from tests.reports.stories import Story

CALL = CallSite("job.py", 7, "run")


def given_up(
    times: int, reason: str = "timeout", after: tuple[float, ...] = (0.2,), answered: int = 0
) -> Story:
    story = Story()
    client = story.client()
    for number in range(times):
        connection = story.connect(client)
        for _ in range(answered):
            story.exchange(client, connection)
        took = after[number % len(after)]
        story.exchange(client, connection, took, status=None, error="httpx.ReadTimeout", call_site=CALL)
        story.disconnect(connection, reason)
    return story


def severity(story: Story) -> str:
    (finding,) = found("PS121", story)
    return finding.severity


@pytest.mark.parametrize("reason", ["timeout", "cancelled"])
def test_below_and_at_the_threshold(reason: str) -> None:
    assert count("PS121", given_up(MIN_LOST - 1, reason)) is None
    assert count("PS121", given_up(MIN_LOST, reason)) == MIN_LOST


def test_it_names_the_line_that_gave_up() -> None:
    (finding,) = found("PS121", given_up(4))
    assert finding.call_site == CALL
    assert "4 by a timeout" in finding.sentence
    assert finding.cost == pytest.approx(4 * 0.01)


@pytest.mark.parametrize(
    "reason", ["reset", "server_closed_no_response", "client_close", "response_not_read"]
)
def test_other_ends(reason: str) -> None:
    assert count("PS121", given_up(10, reason)) is None


@pytest.mark.parametrize("reason", ["timeout", "cancelled"])
def test_now_and_then_is_information(reason: str) -> None:
    assert severity(given_up(20, reason, answered=MANY_SERVED - 2)) == "warning"
    assert severity(given_up(20, reason, answered=MANY_SERVED - 1)) == "info"


def test_connections_that_live_on_are_counted_too() -> None:
    story = given_up(10)
    assert severity(story) == "warning"
    client = story.client()
    connection = story.connect(client)
    for _ in range(10 * (MANY_SERVED - 1)):
        story.exchange(client, connection)
    story.disconnect(connection)
    assert severity(story) == "info"


def test_a_cancel_by_a_deadline_is_like_a_timeout_and_by_the_program_information() -> None:
    near, far = 0.2 * (1 - ALIKE) + 0.001, 0.2 * (1 - ALIKE) - 0.001
    assert severity(given_up(10, "cancelled", (0.2, near))) == "warning"
    assert severity(given_up(10, "cancelled", (0.2, far))) == "info"
    assert severity(given_up(10, "timeout", (0.2, far))) == "warning"
