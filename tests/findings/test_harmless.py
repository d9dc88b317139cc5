"""PS101: what is only information, and what the saving leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.harmless import NEGLIGIBLE
from poolscope.findings.lives import FIRST_PACKETS
from poolscope.records import CallSite, Finding
from tests.findings.rule import found
from tests.reports.stories import Story

COST = 0.01 + 0.01 + 0.005
"""The cost of building, connecting and closing one of a story's clients."""


def churn(clients: int = 10, took: float = 0.02, length: int | None = None, **exchange: Any) -> Finding:
    story = Story()
    for _ in range(clients):
        client = story.client()
        connection = story.connect(client, first_length=length)
        story.exchange(client, connection, took=took + 0.01, started_at=story.now - 0.01, **exchange)
        story.now -= 0.01
        story.records[-1].finished_at = story.now  # type: ignore[union-attr]
        story.disconnect(connection, close_time=0.005)
        story.now += 0.005
        story.close(client)
    (finding,) = found("PS101", story)
    return finding


def test_requests_that_take_much_longer_than_their_clients_cost() -> None:
    threshold = COST / NEGLIGIBLE
    assert churn(took=threshold * 0.99).severity == "warning"
    finding = churn(took=threshold * 1.01)
    assert finding.severity == "info"
    assert "hardly counts" in finding.notes[0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retries_of_one_failing_call(status: int) -> None:
    finding = churn(status=status)
    assert (finding.severity, len(finding.notes)) == ("info", 1)
    assert churn(status=404).severity == "warning"


def test_a_load_test() -> None:
    story = Story()
    for _ in range(5):
        story.throwaway(sdk_call_site=CallSite("/x/site-packages/locust/clients.py", 90, "__init__"))
    (finding,) = found("PS101", story)
    assert finding.severity == "info"
    assert "load test" in finding.notes[-1]


def test_large_answers_may_save_more_than_promised() -> None:
    assert not churn(length=FIRST_PACKETS).notes
    assert not churn(length=None).notes
    (note,) = churn(length=FIRST_PACKETS + 1).notes
    assert "you can save more" in note
