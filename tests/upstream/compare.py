"""Compares three bare runs with a watched one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Outcomes = Mapping[str, str]
"""Test → passed, failed, skipped, xfailed, xpassed or ``error in`` a phase."""

ABSENT = "not run"
UNSTABLE_ALLOWED = 0.005
"""Above this share of unstable tests the comparison says too little to pass."""


@dataclass
class Verdict:
    """Which tests could be compared, and which of them poolscope changed."""

    tests: int
    stable: dict[str, str]
    unstable: dict[str, tuple[str, ...]]
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Test → (outcome bare, outcome watched)."""

    @property
    def unstable_share(self) -> float:
        return len(self.unstable) / self.tests if self.tests else 1.0

    @property
    def good(self) -> bool:
        return bool(self.stable) and not self.changed and self.unstable_share <= UNSTABLE_ALLOWED

    def acquit(self, test: str, outcomes: Sequence[str]) -> None:
        """Move a changed test to the unstable ones: when repeated bare, it changed on its own."""
        before, watched = self.changed.pop(test)
        self.stable.pop(test, None)
        self.unstable[test] = (before, watched, *outcomes)


def judge(bare: Sequence[Outcomes], watched: Outcomes) -> Verdict:
    """Compare ``watched`` with every test that ended the same way in all of ``bare``."""
    names = sorted({name for run in bare for name in run} | set(watched))
    verdict = Verdict(len(names), {}, {})
    for name in names:
        outcomes = tuple(run.get(name, ABSENT) for run in bare)
        if len(set(outcomes)) > 1:
            verdict.unstable[name] = outcomes
            continue
        verdict.stable[name] = outcomes[0]
        now = watched.get(name, ABSENT)
        if now != outcomes[0]:
            verdict.changed[name] = (outcomes[0], now)
    return verdict
