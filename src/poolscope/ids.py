"""Counters that many threads can raise without a lock: ids, and how many of each there were."""

from __future__ import annotations

import sys
from collections.abc import Callable
from operator import length_hint
from typing import Final


class Count:
    """A counter that many threads can raise without losing a step; reading does not disturb it."""

    __slots__ = ("_left", "up")

    def __init__(self) -> None:
        self._left = iter(range(1, sys.maxsize))
        self.up: Callable[[], int] = self._left.__next__
        """Raises it by one and returns the new value, which no other call gets."""

    def __repr__(self) -> str:
        return f"<Count {self.value}>"

    @property
    def value(self) -> int:
        """How often it was raised."""
        return sys.maxsize - 1 - length_hint(self._left)


class Ids:
    """The last id given to each kind of thing."""

    __slots__ = ("client", "connection", "exchange", "pool")

    def __init__(self) -> None:
        self.client, self.pool, self.connection, self.exchange = Count(), Count(), Count(), Count()


IDS: Final = Ids()
