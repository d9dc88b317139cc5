"""What is kept of a connection, and which connections are worth drawing."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolscope.ledger.closing import REASONS
from poolscope.records import CloseReason, Connection, PhaseName
from poolscope.reports.lanes import EDGE, SAMPLED, SHAPES, TROUBLE, Alike, Lane, LaneSample
from tests.reports.stories import Story

HARMLESS: list[CloseReason] = [
    reason for reason in REASONS if reason not in TROUBLE and reason != "client_close"
]


def lane(
    statuses: list[int], reason: CloseReason | None = "client_close", setup: float = 0.01, **changes: Any
) -> Lane:
    """A connection with a request for each of the statuses; 0 is a request without a status."""
    story = Story()
    opened = story.connect(None, connect=setup)
    made = Lane(opened)
    for status in statuses:
        error = None if status else "httpx.ReadTimeout"
        made.add(story.exchange(None, opened, status=status or None, error=error))
    made.connection = replace(opened, close_reason=reason, closed_at=story.now, **changes)
    return made


def sample_of(*lanes: Lane) -> LaneSample:
    sample = LaneSample()
    for number, some in enumerate(lanes, 1):
        some.connection = replace(some.connection, id=number)
        sample.add(some)
    return sample


def test_the_first_the_last_and_the_failed_requests_are_kept() -> None:
    statuses = [200] * 100
    statuses[50], statuses[70] = 503, 0
    kept = lane(statuses).kept()
    assert [bar.number for bar in kept] == [1, 2, 3, 4, 51, 71, 97, 98, 99, 100]
    assert len(lane([503] * 1_000).kept()) == 2 * EDGE


def test_connections_that_look_the_same_are_drawn_once() -> None:
    (alike,) = sample_of(*(lane([200]) for _ in range(1_000))).differing(4)
    assert (alike.lane.connection.id, alike.number) == (1, 1_000)


def test_a_single_one_that_differs_is_drawn_wherever_it_was() -> None:
    lanes = [lane([200]) for _ in range(1_000)]
    lanes[500] = lane([200], "server_closed_idle")
    drawn = sample_of(*lanes).differing(4)
    assert [(alike.lane.connection.id, alike.number) for alike in drawn] == [(1, 999), (501, 1)]


def test_common_lanes_and_those_in_trouble_come_first() -> None:
    lanes = [*(lane([200]) for _ in range(5)), *(lane([200], reason) for reason in HARMLESS[:6])]
    lanes.append(lane([0], "timeout"))
    drawn = sample_of(*lanes).differing(2)
    assert [alike.lane.connection.id for alike in drawn] == [1, 12]


def test_a_setup_far_slower_than_the_others_is_drawn_and_counted_once() -> None:
    drawn = sample_of(lane([200]), lane([200]), lane([200], setup=2.0)).differing(4)
    assert [(alike.lane.connection.id, alike.number) for alike in drawn] == [(1, 2), (3, 1)]
    assert len(sample_of(lane([200]), lane([200], setup=0.04)).differing(4)) == 1


def test_shapes_are_capped() -> None:
    failed: list[PhaseName] = ["dns", "connect", "proxy_tunnel", "tls_context"]
    lanes = [lane([200], reason, failed_phase=phase) for reason in REASONS for phase in failed]
    sample = sample_of(*lanes)
    assert len(sample.differing(1_000)) == SHAPES


def connection(number: int, setup: float = 0.01, failed: bool = False) -> Connection:
    made = Story(ids=iter([number])).connect(None, connect=setup)
    return replace(made, failed_phase="connect" if failed else None)


def test_the_sample_is_bounded_and_has_all_sorts() -> None:
    sample = LaneSample()
    for number in range(1, 10_001):
        slow = 1.0 if number == 5_000 else 0.01
        sample.add(Lane(connection(number, slow, failed=number == 7_000)))
    assert sample.seen == 10_000
    assert len(sample.chosen(1_000)) <= 4 * SAMPLED
    assert [some.connection.id for some in sample.chosen(4)] == [1, 5_000, 7_000, 10_000]


def test_a_copy_does_not_change_the_sample() -> None:
    sample = LaneSample()
    sample.add(Lane(connection(1)))
    other = sample.copy()
    other.add(Lane(connection(2)))
    assert [len(some.chosen(10)) for some in (sample, other)] == [1, 2]


def finished(number: int, setup: float, troubled: bool) -> Lane:
    made = lane([], reason="exchange_failed" if troubled else "client_close", id=number)
    made.connection.setup["total"] = replace(made.connection.setup["total"], duration=setup)
    return made


def check(lanes: list[tuple[int, bool]], number: int) -> None:
    sample, before = LaneSample(), LaneSample()
    for at, (setup, troubled) in enumerate(lanes, 1):
        before = sample
        sample = sample.copy()
        sample.add(finished(at, float(setup), troubled))
        assert before.seen == at - 1, "a copy does not change what it was made of"
    chosen = sample.chosen(number)
    ids = [one.connection.id for one in chosen]
    assert ids == sorted(set(ids)), "each once, in the order in which they came"
    assert len(chosen) <= number
    assert sample.seen == len(lanes)
    assert sum(alike.number for alike in sample.shapes.values()) == len(lanes)
    if len(lanes) <= SAMPLED:
        assert len(chosen) == min(number, len(lanes))
    if chosen and number >= 4:
        assert ids[0] == 1
        assert ids[-1] == len(lanes)
        assert max(one.setup_time for one in chosen) == max(setup for setup, _ in lanes)
        assert any(one.troubled for one in chosen) == any(troubled for _, troubled in lanes)


@settings(deadline=None, max_examples=50)
@given(
    lanes=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=4 * SAMPLED + 5),
    number=st.integers(0, 4 * SAMPLED + 1),
)
def test_the_sample_has_some_of_every_sort(lanes: list[tuple[int, bool]], number: int) -> None:
    check(lanes, number)


def the_fastest_are_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lane, "setup_time", property(lambda self: -self.connection.setup["total"].duration))


def trouble_is_overlooked(patch: pytest.MonkeyPatch) -> None:
    add = LaneSample.add

    def overlooks(self: LaneSample, one: Lane) -> None:
        add(self, one)
        self.failed.clear()

    patch.setattr(LaneSample, "add", overlooks)


def the_last_is_the_first_that_came(patch: pytest.MonkeyPatch) -> None:
    add = LaneSample.add

    def keeps(self: LaneSample, one: Lane) -> None:
        last = self.last.copy()
        add(self, one)
        if len(last) == SAMPLED:
            self.last = last

    patch.setattr(LaneSample, "add", keeps)


def a_copy_is_the_same(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LaneSample, "copy", lambda self: self)


def more_are_chosen_than_asked_for(patch: pytest.MonkeyPatch) -> None:
    chosen = LaneSample.chosen
    patch.setattr(LaneSample, "chosen", lambda self, number: chosen(self, number + 1))


def they_come_in_any_order(patch: pytest.MonkeyPatch) -> None:
    chosen = LaneSample.chosen
    patch.setattr(LaneSample, "chosen", lambda self, number: chosen(self, number)[::-1])


def a_shape_is_counted_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        LaneSample, "_add_shape", lambda self, one, shape: self.shapes.setdefault(shape, Alike(one, 1))
    )


FAULTS = (
    the_fastest_are_kept,
    trouble_is_overlooked,
    the_last_is_the_first_that_came,
    a_copy_is_the_same,
    more_are_chosen_than_asked_for,
    they_come_in_any_order,
    a_shape_is_counted_once,
)


def by_chance(seed: int) -> None:
    chance = random.Random(seed)
    lanes = [(chance.randrange(40), chance.random() < 0.2) for _ in range(chance.randrange(30))]
    check(lanes, chance.randrange(4 * SAMPLED))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(100):
            by_chance(seed)


def test_the_same_are_right_without_a_fault() -> None:
    for seed in range(30):
        by_chance(seed)
