"""Busy time is exact while it remembers everything, and too small rather than too large when it forgets."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolscope.findings.intervals import CAPACITY, BusyTime, Moments


def exact(spans: list[tuple[float, float]]) -> float:
    covered, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def busy(spans: list[tuple[float, float]]) -> BusyTime:
    time = BusyTime()
    for start, end in spans:
        time.add(start, end)
    return time


@pytest.mark.parametrize(
    ("spans", "elapsed"),
    [
        ([], 0.0),
        ([(0, 1)], 1.0),
        ([(0, 1), (1, 2)], 2.0),
        ([(0, 1), (2, 3)], 2.0),
        ([(2, 3), (0, 1)], 2.0),
        ([(0, 3), (1, 2)], 3.0),
        ([(1, 2), (0, 3)], 3.0),
        ([(0, 1), (2, 3), (4, 5), (0.5, 4.5)], 5.0),
        ([(0, 2), (1, 3), (1, 3)], 3.0),
        ([(1, 0)], 0.0),
    ],
)
def test_union(spans: list[tuple[float, float]], elapsed: float) -> None:
    assert busy(spans).elapsed == pytest.approx(elapsed)


def test_overlap_says_how_parallel_it_was() -> None:
    assert busy([(0, 1)] * 10).overlap == pytest.approx(0.1)
    assert busy([(0, 1), (5, 6)]).overlap == 1.0
    assert busy([]).overlap == 1.0


def test_first_and_last() -> None:
    time = busy([(4, 5), (1, 2)])
    assert (time.first, time.last) == (1, 5)


def spans_within(last_start: int, **size: Any) -> st.SearchStrategy[list[tuple[float, float]]]:
    """Whole seconds, so that sums are exact."""
    starts, lengths = st.integers(0, last_start), st.integers(0, 6)
    return st.lists(st.builds(lambda start, length: (start, start + length), starts, lengths), **size)


# Close together: they touch, nest and repeat.
SPANS = spans_within(40, max_size=80)


@pytest.mark.parametrize("seed", range(5))
def test_never_too_large_with_more_gaps_than_it_remembers(seed: int) -> None:
    chance = random.Random(seed)
    spans = [
        (start, start + chance.random() * 3) for start in (chance.random() * 2_000 for _ in range(1_500))
    ]
    assert busy(spans).elapsed <= exact(spans) + 1e-9
    spans.sort(key=lambda span: span[1])
    assert busy(spans).elapsed == pytest.approx(exact(spans))


@settings(deadline=None)
@given(SPANS)
def test_never_too_large_in_any_order(spans: list[tuple[float, float]]) -> None:
    time = busy(spans)
    assert time.elapsed <= exact(spans)
    assert time.summed == sum(end - start for start, end in spans)
    assert time.first == min((start for start, _ in spans), default=float("inf"))
    assert time.last == max((end for _, end in spans), default=float("-inf"))


@settings(deadline=None)
@given(SPANS.map(lambda spans: spans[:CAPACITY]))
def test_exact_in_any_order_while_it_remembers(spans: list[tuple[float, float]]) -> None:
    assert busy(spans).elapsed == exact(spans)


@settings(deadline=None)
@given(SPANS)
def test_exact_at_any_length_if_sorted_by_start(spans: list[tuple[float, float]]) -> None:
    assert busy(sorted(spans)).elapsed == exact(spans)


def test_memory_is_bounded() -> None:
    time = busy([(2.0 * i, 2.0 * i + 1) for i in range(10 * CAPACITY)])
    assert len(time._spans) <= CAPACITY
    assert time.elapsed == pytest.approx(10 * CAPACITY)


def test_moments_within() -> None:
    moments = Moments(capacity=3)
    for moment in (1.0, 2.0, 9.0):
        moments.add(moment)
    assert moments.any_before(9.0, within=0.0)
    assert moments.any_before(7.0, within=5.0)
    assert not moments.any_before(7.001, within=5.0)
    assert not moments.any_before(0.5, within=5.0)


def test_moments_forget_the_oldest() -> None:
    moments = Moments(capacity=2)
    for moment in (1.0, 20.0, 30.0):
        moments.add(moment)
    assert not moments.any_before(2.0, within=5.0)
    assert moments.any_before(21.0, within=5.0)


def test_each_moment_is_taken_once_the_oldest_first() -> None:
    moments = Moments()
    for moment in (1.0, 4.0, 9.0):
        moments.add(moment)
    assert [moments.take_before(5.0, within=4.0) for _ in range(3)] == [True, True, False]
    assert moments.take_before(9.0, within=0.0)
    assert not moments.take_before(9.0, within=5.0)
