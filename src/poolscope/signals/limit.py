"""How many events of a name, and spans of setups, are sent."""

from __future__ import annotations

from typing import Final

RATE: Final = 10.0
"""How many of one kind are sent in a second, in the long run."""
BURST: Final = 100.0
"""How many at once."""


class Limit:
    """A token bucket on the time of what happened, so that a late drain does not thin it out."""

    def __init__(self, rate: float = RATE, burst: float = BURST) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._at: float | None = None
        self.withheld = 0
        """How many were refused since the last allowed one."""

    def __repr__(self) -> str:
        return f"<Limit {self._tokens:.1f} of {self._burst:.0f} left, {self.withheld} withheld>"

    def allows(self, at: float) -> bool:
        """Whether what happened ``at`` may be sent; refusals are counted."""
        if self._at is not None and at > self._at:
            self._tokens = min(self._burst, self._tokens + (at - self._at) * self._rate)
        self._at = at if self._at is None else max(self._at, at)
        if self._tokens < 1.0:
            self.withheld += 1
            return False
        self._tokens -= 1.0
        return True
