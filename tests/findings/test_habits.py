"""A bounded number of habits: what is known of each is right, and a finding is given up last."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolscope.findings import habits as module
from poolscope.findings.churn import Churn
from poolscope.findings.habits import Habit, Habits

MOST = 6
"""Habits that are known at once, and two of the oldest that are looked at: small, so that it is often full."""
OLDEST = 2
ENOUGH = 3
"""Clients that make a finding."""
KINDS = 10

Steps = list[tuple[int, int]]
"""(habit, clients that it has more)."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HABITS", MOST)
    monkeypatch.setattr(module, "OLDEST", OLDEST)


def habit(number: int) -> Habit:
    return Habit(number, "http://a.test", None, None, None, 0, "httpx.Client")


def is_finding(churn: Churn) -> bool:
    return churn.clients >= ENOUGH


def add(habits: Habits, steps: Steps) -> None:
    for number, clients in steps:
        habits[habit(number)].clients += clients


def told(habits: Habits) -> dict[int, int]:
    """Habit → clients, of those that are a finding."""
    return {about.pid: churn.clients for about, churn in habits.found()}


def check(steps: Steps, later: Steps) -> None:
    habits = Habits(is_finding)
    sums: Counter[int] = Counter()
    for number, clients in steps:
        before = told(habits)
        add(habits, [(number, clients)])
        sums[number] += clients
        lost = before.keys() - told(habits).keys()
        assert len(habits) <= MOST
        assert len(lost) <= 1
        if lost:  # only where all that may be forgotten are findings
            assert list(before)[:OLDEST] == [*lost, *list(before)[1:OLDEST]]
            assert len(before) >= OLDEST
    found = told(habits)
    assert all(ENOUGH <= clients <= sums[number] for number, clients in found.items()), "none is invented"
    if len(sums) <= MOST:
        in_order = {number: sums[number] for number in sums if sums[number] >= ENOUGH}
        assert list(found.items()) == list(in_order.items())

    other = habits.copy()
    assert told(other) == found
    add(other, later)
    assert told(habits) == found, "what a copy learns stays with it"
    if len({*sums, *(number for number, _ in later)}) <= MOST:
        for number, clients in later:
            sums[number] += clients
        assert told(other) == {number: sums[number] for number in sums if sums[number] >= ENOUGH}


STEPS = st.lists(st.tuples(st.integers(0, KINDS - 1), st.integers(0, 4)), max_size=40)
FEW = st.lists(st.tuples(st.integers(0, MOST - 1), st.integers(0, 4)), max_size=40)


@settings(deadline=None)
@given(STEPS, STEPS)
def test_whatever_comes_none_is_invented(steps: Steps, later: Steps) -> None:
    check(steps, later)


@settings(deadline=None)
@given(FEW, FEW)
def test_as_long_as_there_is_room_all_is_known(steps: Steps, later: Steps) -> None:
    check(steps, later)


def a_copy_shares_what_it_knows(patch: pytest.MonkeyPatch) -> None:
    copy = Habits.copy

    def shares(self: Habits) -> Habits:
        other = copy(self)
        other._borrowed.clear()
        return other

    patch.setattr(Habits, "copy", shares)


def a_copy_is_empty(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Habits, "copy", lambda self: Habits(is_finding))


def none_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Habits, "_forget_one", lambda self: None)


def the_oldest_is_forgotten_finding_or_not(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Habits, "_forget_one", lambda self: self._churns.pop(next(iter(self._churns))))


def findings_are_forgotten_first(patch: pytest.MonkeyPatch) -> None:
    forget = Habits._forget_one

    def wrongly(self: Habits) -> None:
        genuine, self._is_finding = self._is_finding, lambda churn: not is_finding(churn)
        forget(self)
        self._is_finding = genuine

    patch.setattr(Habits, "_forget_one", wrongly)


def everything_is_found(patch: pytest.MonkeyPatch) -> None:
    def all_of_them(self: Habits) -> Iterator[tuple[Habit, Churn]]:
        return iter(self._churns.items())

    patch.setattr(Habits, "found", all_of_them)


def one_that_comes_again_begins_anew(patch: pytest.MonkeyPatch) -> None:
    known = Habits.__getitem__

    def anew(self: Habits, about: Habit) -> Churn:
        if about in self._churns:
            self._churns[about] = Churn()
        return known(self, about)

    patch.setattr(Habits, "__getitem__", anew)


FAULTS = (
    a_copy_shares_what_it_knows,
    a_copy_is_empty,
    none_is_forgotten,
    the_oldest_is_forgotten_finding_or_not,
    findings_are_forgotten_first,
    everything_is_found,
    one_that_comes_again_begins_anew,
)


def by_chance(seed: int) -> None:
    chance = random.Random(seed)
    kinds = chance.choice((MOST, KINDS))
    steps = [[(chance.randrange(kinds), chance.randrange(5)) for _ in range(30)] for _ in range(2)]
    check(*steps)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(100):
            by_chance(seed)


def test_the_same_are_right_without_a_fault() -> None:
    for seed in range(100):
        by_chance(seed)
