"""ssl: the result of a handshake, which contexts were watched from their creation, which have a client certificate,
and how long loading CA certificates took. A context does not show its client certificate; without knowing it, two
contexts cannot be called equal.
"""

from __future__ import annotations

import threading
from collections import deque
from types import ModuleType
from typing import Any, Final

from poolscope.facts import Connection, now
from poolscope.identity.values import WATCHED
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.libraries.point import Point


def made(_cls: type, result: Any) -> None:
    """A context is watched from its creation; existing contexts stay unknown."""
    set_mark(result, False, WATCHED)


def certified(context: Any) -> None:
    """It gets a client certificate."""
    set_mark(context, True, WATCHED)


def note_tls(tls: Any, connection: Connection) -> None:
    """The negotiated values that the TLS object ``tls`` provides; nothing without one."""
    if not hasattr(
        tls, "selected_alpn_protocol"
    ):  # as a plain connection has, and the transports of aiohttp's own tests
        return
    connection.alpn = tls.selected_alpn_protocol()
    if hasattr(tls, "version"):
        connection.tls_version = tls.version()
        cipher = tls.cipher()
        connection.cipher = cipher[0] if isinstance(cipher, tuple) else None  # a test's own object has any
        connection.resumed = getattr(tls, "session_reused", None)


class _Loads(threading.local):
    """The newest loads of this thread: when each began and ended."""

    def __init__(self) -> None:
        self.newest: deque[tuple[float, float]] = deque(maxlen=8)


_LOADS: Final = _Loads()
_COST: Final = "_poolscope_ca_time"
"""On an SSLContext: seconds that loading took, until a client is charged with them."""


def load_begins() -> float:
    """CA certificates are about to be read and parsed."""
    return now()


def loaded(context: Any, token: float) -> None:
    """They are."""
    at = now()
    _LOADS.newest.append((token, at))
    set_mark(context, (mark_on(context, _COST) or 0.0) + at - token, _COST)


def loaded_since(at: float) -> float:
    """Seconds of loads that began in this thread since ``at``."""
    return sum(ended - began for began, ended in _LOADS.newest if began >= at)


def take_cost(context: Any) -> float:
    """Seconds that loading ``context`` took; only the first call gets them."""
    cost: float = mark_on(context, _COST) or 0.0
    if cost:
        set_mark(context, 0.0, _COST)
    return cost


POINTS: Final = (
    Point("SSLContext", "__new__", after=made),
    Point("SSLContext", "load_cert_chain", before=certified),
    Point("SSLContext", "load_verify_locations", before=load_begins, after=loaded),
    Point("SSLContext", "set_default_verify_paths", before=load_begins, after=loaded),
)


def points(_module: ModuleType) -> tuple[Point, ...]:
    """The hook points of contexts."""
    return POINTS
