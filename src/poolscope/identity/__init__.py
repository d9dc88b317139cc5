"""Whether two clients could do each other's work: their settings as a number.

A client differs by what it sends, at any of its first calls, and by its TLS, proxy, address and auth
settings. Everything is compared by hash and never kept. This package knows no library: its callers pass headers,
targets and settings.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final

from poolscope.identity.sent import Text, items_of
from poolscope.identity.values import value_of

__all__ = ["CALLS", "Identity"]

CALLS: Final = 20
"""How many calls of a client are examined; a client with more is not a throwaway."""
LIMIT: Final = 1_000
_ITEMS: Final = 200
_numbers: dict[frozenset[int], int] = {}
_number_ids: Final = itertools.count(1)


class Identity:
    """What one client has sent and how it is set up, as a set of hashes; equal sets have equal numbers."""

    __slots__ = ("_credentials", "_items", "_parts", "apart", "calls", "number", "settled")

    def __init__(self) -> None:
        self.calls = 0
        self.number: int | None = None
        """None until it has sent something."""
        self.apart: int | None = None
        """The same without its credentials; None while it has sent none."""
        self._credentials: set[int] = set()
        self._items: set[int] | None = set()
        self.settled = False
        """Whether what it sends from now on does not matter any more."""
        self._parts: set[tuple[str, int]] = set()

    def __repr__(self) -> str:
        return f"<Identity {self.number} after {self.calls} calls>"

    def sends(
        self, headers: Iterable[tuple[Text, Text]], target: Text | None, body: Any = None
    ) -> int | None:
        """It sends a request; returns its number. ``headers`` and ``target`` are those on the wire."""
        self.calls += 1
        if self._items is not None:
            self._add(items_of(headers, target, body, self._credentials))
            if self.calls >= CALLS:
                self._settles()
        return self.number

    def is_set_up(self, part: str, *values: Any) -> None:
        """One part of its settings: equal values are equal, and what cannot be compared is different."""
        if self._items is not None:
            self._add((hash((part, repr([value_of(value) for value in values]))),))

    def knows(self, part: str, owner: object) -> bool:
        """Whether this part of this very object was seen before; it counts as seen from now on."""
        key = part, id(owner)
        if self._items is None or key in self._parts:
            return True
        self._parts.add(key)
        return False

    def _settles(self) -> None:
        self._items = None
        self.settled = True

    def _add(self, items: Iterable[int]) -> None:
        known = self._items
        if known is None:
            return
        before = len(known)
        known.update(items)
        if len(known) > _ITEMS:
            self._settles()  # a client that sends so many different things is like no other
            self.number = next(_number_ids)
            self.apart = None
        elif self.number is None or len(known) != before:
            self.number = _number_of(frozenset(known))
            if self._credentials:
                self.apart = _number_of(frozenset(known - self._credentials))


def _number_of(items: frozenset[int]) -> int:
    """Of more than 1,000 kinds the oldest are forgotten: what comes again counts as different, never as equal."""
    number = _numbers.get(items)
    if number is None:
        number = _numbers.setdefault(items, next(_number_ids))  # in one step: another thread may be here too
        if len(_numbers) > LIMIT:
            for oldest in list(_numbers)[:-LIMIT]:
                _numbers.pop(oldest, None)
    return number
