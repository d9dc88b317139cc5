"""Counters that many threads can raise without a lock: ids, and how many of each there were."""

from __future__ import annotations

import sys
from operator import length_hint
from typing import Final


class Count:
    """A counter that many threads can raise without losing a step; reading does not disturb it."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = iter(range(sys.maxsize))

    def __repr__(self) -> str:
        return f"<Count {self.value}>"

    def up(self) -> int:
        """Raise it by one and return the new value, which is unique to this call."""
        return next(self._left) + 1

    @property
    def value(self) -> int:
        """How often it was raised."""
        return sys.maxsize - length_hint(self._left)


class Ids:
    """The last id given to each kind of thing."""

    __slots__ = ("client", "connection", "exchange", "pool")

    def __init__(self) -> None:
        self.client, self.pool, self.connection, self.exchange = Count(), Count(), Count(), Count()


IDS: Final = Ids()
