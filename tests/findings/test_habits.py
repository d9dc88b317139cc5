"""A bounded number of habits: everything known of each is right, and findings are dropped last."""

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
"""How many habits are kept, and how many of the oldest are examined: few, so that it is often full."""
OLDEST = 2
ENOUGH = 3
"""The number of clients that makes a finding."""
KINDS = 10

Steps = list[tuple[int, int]]
"""(habit, how many more clients it has)."""


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


def counts(habits: Habits) -> dict[int, int]:
    """Habit → clients, of the habits that are findings."""
    return {about.pid: churn.clients for about, churn in habits.found()}


def check(steps: Steps, later: Steps) -> None:
    habits = Habits(is_finding)
    sums: Counter[int] = Counter()
    for number, clients in steps:
        before = counts(habits)
        add(habits, [(number, clients)])
        sums[number] += clients
        lost = before.keys() - counts(habits).keys()
        assert len(habits) <= MOST
        assert len(lost) <= 1
        if lost:  # only where everything that may be dropped is a finding
            assert list(before)[:OLDEST] == [*lost, *list(before)[1:OLDEST]]
            assert len(before) >= OLDEST
    found = counts(habits)
    assert all(ENOUGH <= clients <= sums[number] for number, clients in found.items()), "none is invented"
    if len(sums) <= MOST:
        in_order = {number: sums[number] for number in sums if sums[number] >= ENOUGH}
        assert list(found.items()) == list(in_order.items())

    other = habits.copy()
    assert counts(other) == found
    add(other, later)
    assert counts(habits) == found, "what a copy learns stays with it"
    if len({*sums, *(number for number, _ in later)}) <= MOST:
        for number, clients in later:
            sums[number] += clients
        assert counts(other) == {number: sums[number] for number in sums if sums[number] >= ENOUGH}


STEPS = st.lists(st.tuples(st.integers(0, KINDS - 1), st.integers(0, 4)), max_size=40)
FEW = st.lists(st.tuples(st.integers(0, MOST - 1), st.integers(0, 4)), max_size=40)


@settings(deadline=None)
@given(STEPS, STEPS)
def test_no_habit_is_invented(steps: Steps, later: Steps) -> None:
    check(steps, later)


@settings(deadline=None)
@given(FEW, FEW)
def test_with_enough_room_everything_is_known(steps: Steps, later: Steps) -> None:
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


def a_habit_that_comes_again_starts_at_zero(patch: pytest.MonkeyPatch) -> None:
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
    a_habit_that_comes_again_starts_at_zero,
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
