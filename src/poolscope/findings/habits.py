"""Which clients are interchangeable, and the churn of each such habit, for a bounded number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice
from typing import Final, NamedTuple

from poolscope.findings.churn import Churn
from poolscope.records import CallSite

MAX_HABITS: Final = 4_096
OLDEST: Final = 16
"""When there are too many, one of this many oldest habits is dropped."""


class Habit(NamedTuple):
    """The key of a habit: clients with equal keys are interchangeable."""

    pid: int
    origin: str
    call_site: CallSite | None
    sdk_call_site: CallSite | None
    loop: int | None
    settings: int
    kind: str


class Habits:
    """Habit → churn. Forgetting a habit may lose a finding, but never invents one."""

    def __init__(self, is_finding: Callable[[Churn], bool]) -> None:
        self._is_finding = is_finding
        self._churns: dict[Habit, Churn] = {}
        self._borrowed: set[Habit] = set()

    def __repr__(self) -> str:
        return f"<Habits {len(self)} known>"

    def __len__(self) -> int:
        return len(self._churns)

    def __getitem__(self, habit: Habit) -> Churn:
        """The churn of a habit, to be added to."""
        churn = self._churns.get(habit)
        if churn is None:
            if len(self._churns) >= MAX_HABITS:
                self._forget_one()
            churn = self._churns[habit] = Churn()
        elif habit in self._borrowed:
            self._borrowed.discard(habit)
            churn = self._churns[habit] = deepcopy(churn)
        return churn

    def _forget_one(self) -> None:
        oldest = list(islice(self._churns.items(), OLDEST))
        habit = next((habit for habit, churn in oldest if not self._is_finding(churn)), oldest[0][0])
        del self._churns[habit]
        self._borrowed.discard(habit)

    def found(self) -> Iterator[tuple[Habit, Churn]]:
        """The habits that are findings, in the order in which they were first seen."""
        return ((habit, churn) for habit, churn in self._churns.items() if self._is_finding(churn))

    def __iter__(self) -> Iterator[Habit]:
        """All habits, with and without a finding."""
        return iter(self._churns)

    def copy(self) -> Habits:
        """A copy, which can be changed without changing this one."""
        other = Habits(self._is_finding)
        other._churns = dict(self._churns)
        other._borrowed = set(self._churns)
        return other
