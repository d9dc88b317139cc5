"""ssl: which contexts were watched since they were made, and which have a certificate of the client's own.

Nobody can ask a context for that certificate; without knowing, two contexts cannot be said to do the same.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final

from poolscope.identity.values import WATCHED
from poolscope.libraries.marks import set_mark
from poolscope.libraries.point import Point


def made(_cls: type, result: Any) -> None:
    """A context is watched from the start; those that are there already stay unknown."""
    set_mark(result, False, WATCHED)


def certified(context: Any) -> None:
    """It gets a certificate of the client's own."""
    set_mark(context, True, WATCHED)


POINTS: Final = (
    Point("SSLContext", "__new__", after=made),
    Point("SSLContext", "load_cert_chain", before=certified),
)


def points(_module: ModuleType) -> tuple[Point, ...]:
    """Where contexts are made."""
    return POINTS
