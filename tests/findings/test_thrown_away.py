"""PS121: it fires where connections are closed because the request on them was given up."""

from __future__ import annotations

import pytest

from poolscope.findings.thrown_away import MIN_LOST
from poolscope.records import CallSite
from tests.findings.rule import count, found
from tests.reports.stories import Story

CALL = CallSite("job.py", 7, "run")


def given_up(times: int, reason: str = "timeout") -> Story:
    story = Story()
    client = story.client()
    for _ in range(times):
        connection = story.connect(client)
        story.exchange(client, connection, status=None, error="httpx.ReadTimeout", call_site=CALL)
        story.disconnect(connection, reason)
    return story


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
