"""Small numbers for client settings, which must be compared but not kept."""

from __future__ import annotations

import itertools
import os
import sys
import weakref
from functools import partial
from hashlib import blake2b
from types import FunctionType
from typing import Any, Final

LIMIT: Final = 1_000
_DEPTH: Final = 8
_SIZE: Final = 200
"""Values of one client's settings that are looked at; what lies deeper or comes later counts by identity."""
_KEY: Final = os.urandom(32)
_numbers: dict[bytes, int] = {}
_number_ids: Final = itertools.count(1)
_serials: dict[int, tuple[weakref.ref[Any], int]] = {}
_serial_ids: Final = itertools.count(1)


def number_of_settings(*parts: Any) -> int:
    """Equal parts get equal numbers. Only a keyed hash is kept, so no credential can be read back.

    Objects without a value of their own count by identity, i.e. as different. Of more than 1,000 kinds the
    oldest are forgotten: what comes again later counts as different then, never as equal.
    """
    values = _Values()
    described = repr([values.of(part) for part in parts])
    digest = blake2b(described.encode("utf-8", "backslashreplace"), key=_KEY, digest_size=16).digest()
    number = _numbers.get(digest)
    if number is None:
        number = _numbers.setdefault(digest, next(_number_ids))  # in one step: another thread may be here too
        _forget_oldest(_numbers)
    return number


class _Values:
    """Values made of plain ones only, without calling anything that the host's classes define."""

    __slots__ = ("_above", "_left")

    def __init__(self) -> None:
        self._above: list[int] = []
        self._left = _SIZE

    def of(self, part: Any) -> Any:
        kind = type(part)
        if part is None or kind in _PLAIN:
            return part
        for base in _PLAIN:
            if issubclass(kind, base):  # its own repr may hide what it is
                return base.__name__, base.__repr__(part)
        if id(part) in self._above:
            return "again", self._above.index(id(part))
        self._left -= 1
        if self._left < 0 or len(self._above) >= _DEPTH:
            return _serial(part)
        self._above.append(id(part))
        try:
            return self._inside(part, kind)
        finally:
            self._above.pop()

    def _inside(self, part: Any, kind: type) -> Any:
        for base in (list, tuple):
            if issubclass(kind, base):
                items = list(base.__iter__(part))
                return [self.of(item) for item in items] if len(items) < _SIZE else _serial(part)
        if issubclass(kind, dict):
            pairs = list(dict.items(part))
            if len(pairs) >= _SIZE:
                return _serial(part)
            return sorted((repr(self.of(key)), repr(self.of(value))) for key, value in pairs)
        state = _state(part, kind)
        if not state or len(state) >= 20:
            return _serial(part)
        return kind.__qualname__, self.of(dict(state))


_PLAIN: Final = (bool, int, float, str, bytes)


def _state(part: Any, kind: type) -> dict[str, Any] | None:
    """The attributes an object consists of; None where there is more to it, in C or in slots."""
    context = getattr(sys.modules.get("ssl"), "SSLContext", FunctionType)
    if issubclass(kind, (FunctionType, partial, type, context)):
        return None
    if any(vars(cls).get("__slots__") for cls in kind.__mro__):
        return None
    try:
        state = object.__getattribute__(part, "__dict__")
    except AttributeError:
        return None
    return state if isinstance(state, dict) else None


def _serial(part: Any) -> tuple[str, int]:
    """A number that stands for the very object, as its id would if ids were not used again."""
    known = _serials.get(id(part))
    if known is not None and known[0]() is part:
        return "object", known[1]
    serial = next(_serial_ids)
    try:
        _serials[id(part)] = weakref.ref(part), serial
    except TypeError:
        return "object", serial
    _forget_oldest(_serials)
    return "object", serial


def _forget_oldest(known: dict[Any, Any]) -> None:
    if len(known) > LIMIT:
        for key in list(known)[:-LIMIT]:
            known.pop(key, None)
