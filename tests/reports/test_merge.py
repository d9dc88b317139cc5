"""Findings of several processes as one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolscope import findings
from poolscope.records import Record
from poolscope.reports.merge import merged
from tests.findings.rule import found
from tests.findings.test_retries_sleep import retried
from tests.reports.stories import Story


def used_after_fork(pid: int, times: int) -> list[Record]:
    story = Story(pid=pid)
    client = story.client()
    connection = story.connect(client, inherited=True)
    for _ in range(times):
        story.exchange(client, connection)
    return story.records


@pytest.mark.parametrize(
    ("times", "said"),
    [([1, 1, 1], "3 requests to"), ([1], "1 request to"), ([2, 1], "3 requests to")],
    ids=["one in each", "one in all", "two and one"],
)
def test_the_sum_has_the_noun_that_fits(times: list[int], said: str) -> None:
    children = [record for pid, number in enumerate(times, 1) for record in used_after_fork(pid, number)]
    (one,) = [one.finding for one in merged(findings.find(children)) if one.finding.code == "PS110"]
    assert one.count == sum(times)
    assert one.sentence.startswith(said)


def test_no_sentence_states_the_sleep_of_one_process_as_that_of_all() -> None:
    (finding,) = found("PS120", retried([3.0, 4.0]))
    (one,) = (one.finding for one in merged([replace(finding, pid=pid) for pid in (1, 2, 3)]))
    assert one.cost == pytest.approx(21.0)
    assert one.sentence.startswith("6 retries of requests to ")
    assert "7.0 s" not in one.sentence
    assert "up to 4.0 s at once" in one.sentence
