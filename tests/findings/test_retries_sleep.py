"""PS120: it fires where retries within one call are far apart, and adds up the time between them."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.retries_sleep import MIN_SLEPT, MOMENT
from poolscope.records import CallSite
from tests.findings.rule import count, found
from tests.reports.stories import Story

CALL = CallSite("job.py", 7, "run")


def retried(sleeps: list[float], first: dict[str, Any] | None = None, relation: str = "retry") -> Story:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    before = story.exchange(client, connection, call_site=CALL, **(first or {"status": 503}))
    for number, slept in enumerate(sleeps, 1):
        story.now += slept
        status = 200 if number == len(sleeps) else 503
        before = story.exchange(
            client, connection, call_site=CALL, status=status, previous=before.id, relation=relation
        )
    return story


def test_seconds_below_and_at_the_threshold() -> None:
    assert count("PS120", retried([MIN_SLEPT - 0.01])) is None
    assert count("PS120", retried([MIN_SLEPT])) == 1
    assert count("PS120", retried([MIN_SLEPT / 2, MIN_SLEPT / 2])) == 2


def test_it_says_who_slept_and_why() -> None:
    (finding,) = found("PS120", retried([2.0, 4.0]))
    assert finding.call_site == CALL
    assert finding.cost == pytest.approx(6.0)
    assert finding.parts == {"sleep": pytest.approx(6.0)}
    assert "after 503" in finding.sentence
    (finding,) = found("PS120", retried([2.0], first={"status": None, "error": "urllib3.ReadTimeoutError"}))
    assert "after ReadTimeoutError" in finding.sentence


def test_immediate_retries_do_not_sleep() -> None:
    assert count("PS120", retried([MOMENT / 2] * 1_000)) is None


@pytest.mark.parametrize("relation", ["redirect", "auth"])
def test_other_steps_are_not_retries(relation: str) -> None:
    assert count("PS120", retried([2.0], relation=relation)) is None
