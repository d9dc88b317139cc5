"""Our attribute on another library's objects, ``_poolscope``, set and read without its class.

A subclass may take only attributes that it knows, or make up those it has not. ``vars()`` would pass such
methods as well, but asking an object for its ``__dict__`` slows down every later access to its attributes
(CPython keeps them outside of a dictionary until somebody asks).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poolscope.story.sight import SIGHT, Era

_set = object.__setattr__
_get = object.__getattribute__


def set_mark(thing: Any, mark: Any, name: str = "_poolscope") -> None:
    """Leave ``mark`` on ``thing``."""
    _set(thing, name, mark)


def mark_on(thing: Any, name: str = "_poolscope") -> Any:
    """The mark that was left on ``thing``, or None."""
    try:
        return _get(thing, name)
    except AttributeError:
        return None


def watched(thing: Any) -> Any:
    """The mark on ``thing``; None without a mark of the current era."""
    try:
        mark = _get(thing, "_poolscope")
    except AttributeError:
        return None
    return mark if mark is not None and mark.era.goes_on else None


def in_sight(thing: Any, made: Callable[[Era], Any], name: str = "_poolscope") -> Any:
    """The mark on ``thing``, ``made`` now if everything is observed; None if ``thing`` is not observed.

    A client that is its own pool has two marks: give that of the pool another ``name``.
    """
    mark = mark_on(thing, name)
    if mark is not None and mark.era.goes_on:
        return mark
    if not SIGHT.everybody or thing is None:
        return None
    mark = made(SIGHT.era)
    set_mark(thing, mark, name)
    return mark


def observe_pool(pool: Any, made: Callable[[Era], Any], name: str | None) -> None:
    """Observe only ``pool``, independently of `instrument()`, and name it ``name``."""
    if pool is not None:
        mark = in_sight(pool, made) or made(SIGHT.own)
        mark.era = SIGHT.own
        mark.is_called(name)
        set_mark(pool, mark)
