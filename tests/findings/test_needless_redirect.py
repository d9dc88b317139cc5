"""PS113: it fires where each request opens a connection only to be redirected."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.needless_redirect import MIN_REDIRECTED
from tests.findings.rule import count, found
from tests.reports.stories import LINE, ORIGIN, Story

TARGET = "https://www.api.test"


def redirected(times: int, target: str = TARGET, to: str = f"{TARGET}/", **first: Any) -> Story:
    story = Story()
    client = story.client()
    for _ in range(times):
        before = story.exchange(client, story.connect(client), status=301, **first)
        there = story.connect(client, target)
        story.exchange(client, there, previous=before.id, relation="redirect", url=to)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS113", redirected(MIN_REDIRECTED - 1)) is None
    assert count("PS113", redirected(MIN_REDIRECTED)) == MIN_REDIRECTED


def test_it_names_the_address_to_use() -> None:
    (finding,) = found("PS113", redirected(4))
    assert (finding.origin, finding.call_site, finding.severity) == (ORIGIN, LINE, "info")
    assert TARGET in finding.fix
    assert finding.cost == pytest.approx(4 * 0.01)


def test_a_redirect_on_the_same_origin_costs_no_connection() -> None:
    assert count("PS113", redirected(10, ORIGIN)) is None


def test_a_redirect_on_a_kept_connection_opens_none() -> None:
    assert count("PS113", redirected(10, reused=True)) is None


def test_an_address_that_only_the_answer_could_name() -> None:
    assert count("PS113", redirected(10, to="https://files.test/signed/8f3a")) is None
    assert count("PS113", redirected(10, to=f"{TARGET}/?Expires=1&Signature=")) is None
    assert count("PS113", redirected(10, to=TARGET)) == 10


def test_a_query_with_the_same_names_belongs_to_the_same_address() -> None:
    first = f"{ORIGIN}/?page=1&size=2"
    assert count("PS113", redirected(10, to=f"{TARGET}/?size=2&page=1", url=first)) == 10
    assert count("PS113", redirected(10, to=TARGET, url=first)) is None
