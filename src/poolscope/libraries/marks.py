"""What we leave on an object of another library's: one attribute, ``_poolscope``, set and read past its class.

A subclass may take only attributes that it knows, or make up those it has not. ``vars()`` would pass such
methods as well, but asking an object for its ``__dict__`` slows down every later access to its attributes
(CPython keeps them outside of a dictionary until somebody asks).
"""

from __future__ import annotations

from typing import Any

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
