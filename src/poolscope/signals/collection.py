"""Which instrument a collection asks first: what is done once for all of them is done then."""

from __future__ import annotations

from typing import Final

from poolscope.facts import now

LONGEST: Final = 1.0
"""Seconds after which an instrument is taken to be asked by another collection."""


class Collection:
    """The instruments that the collection under way has asked; an SDK lets one reader collect at a time."""

    def __init__(self) -> None:
        self._asked: set[str] = set()
        self._began_at = float("-inf")

    def __repr__(self) -> str:
        return f"<Collection of {len(self._asked)} instruments so far>"

    def begins_with(self, name: str) -> bool:
        """Whether the instrument ``name`` is the first that a new collection asks."""
        at = now()
        if name not in self._asked and at - self._began_at < LONGEST:
            self._asked.add(name)
            return False
        self._asked = {name}
        self._began_at = at
        return True

    def goes_on(self) -> None:
        """What its first instrument did took long, perhaps, and is done once all the same."""
        self._began_at = now()
