"""Findings of several processes as one."""

from __future__ import annotations

import pytest

from poolscope import findings
from poolscope.records import Record
from poolscope.reports.merge import merged
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
