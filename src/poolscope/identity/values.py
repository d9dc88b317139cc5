"""Settings as plain values, without calling any code of the host's classes."""

from __future__ import annotations

import itertools
import sys
import weakref
from functools import partial
from hashlib import blake2b
from types import FunctionType
from typing import Any, Final

LIMIT: Final = 1_000
_DEPTH: Final = 8
_SIZE: Final = 200
"""How many values of one setting are compared; deeper or later ones count by identity."""
_PLAIN: Final = (bool, int, float, str, bytes)
_serials: dict[int, tuple[weakref.ref[Any], int]] = {}
_serial_ids: Final = itertools.count(1)
WATCHED: Final = "_poolscope_watched"
"""On an SSLContext that was watched since it was made: whether it has a certificate of the client's own."""


def value_of(part: Any) -> Any:
    """``part`` as plain values; an object without plain values counts as itself, so it differs from all others."""
    return _Values().of(part)


class _Values:
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
            return serial_of(part)
        self._above.append(id(part))
        try:
            return self._inside(part, kind)
        finally:
            self._above.pop()

    def _inside(self, part: Any, kind: type) -> Any:
        for base in (list, tuple):
            if issubclass(kind, base):
                items = list(base.__iter__(part))
                return [self.of(item) for item in items] if len(items) < _SIZE else serial_of(part)
        if issubclass(kind, dict):
            pairs = list(dict.items(part))
            if len(pairs) >= _SIZE:
                return serial_of(part)
            return sorted((repr(self.of(key)), repr(self.of(value))) for key, value in pairs)
        if kind is _context_class():
            return _context(part)
        state = _state(part, kind)
        if not state or len(state) >= 20:
            return serial_of(part)
        return kind.__qualname__, self.of(dict(state))


def _context_class() -> Any:
    return getattr(sys.modules.get("ssl"), "SSLContext", FunctionType)


def _context(context: Any) -> Any:
    """What an SSLContext does: bounds, checks, options, and the certificates that it trusts.

    A context does not show its client certificate, so a context that has or may have one counts as different.
    """
    if getattr(context, WATCHED, True) is not False:
        return serial_of(context)
    trusted = blake2b(b"".join(sorted(context.get_ca_certs(binary_form=True))), digest_size=16).hexdigest()
    known = (context.protocol, context.minimum_version, context.maximum_version, context.verify_mode,
             context.verify_flags, context.options)  # fmt: skip
    ciphers = tuple(cipher["name"] for cipher in context.get_ciphers())
    return "SSLContext", [int(each) for each in known], bool(context.check_hostname), ciphers, trusted


def _state(part: Any, kind: type) -> dict[str, Any] | None:
    """All attributes of an object; None if it also has state in C or in slots."""
    if issubclass(kind, (FunctionType, partial, type, _context_class())):
        return None
    if any(vars(cls).get("__slots__") for cls in kind.__mro__):
        return None
    try:
        state = object.__getattribute__(part, "__dict__")
    except AttributeError:
        return None
    return state if isinstance(state, dict) else None


def serial_of(part: Any) -> tuple[str, int]:
    """A number for this very object, as its id would be if ids were not reused."""
    known = _serials.get(id(part))
    if known is not None and known[0]() is part:
        return "object", known[1]
    serial = next(_serial_ids)
    try:
        _serials[id(part)] = weakref.ref(part), serial
    except TypeError:
        return "object", serial
    if len(_serials) > LIMIT:
        for key in list(_serials)[:-LIMIT]:
            _serials.pop(key, None)
    return "object", serial
