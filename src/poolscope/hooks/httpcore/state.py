"""What we remember of httpcore's pools and connections, and of the exchanges under way on them.

Nothing here refers to a connection, stream or response object for longer than the call that passes it.
"""

from __future__ import annotations

import threading
import weakref
from contextvars import ContextVar
from typing import Any

from poolscope.facts import BEGUN, Connection, Exchange, Pool, RawOrigin
from poolscope.hooks.clients import ClientFacts
from poolscope.hooks.httpcore import peek
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.queue import FACTS

CURRENT: ContextVar[Any] = ContextVar("poolscope_httpcore_flight", default=None)
"""The `Flight` whose ``handle_request`` we are in, or None."""
CLOSER: ContextVar[str | None] = ContextVar("poolscope_httpcore_closer", default=None)
"""The close trigger of whatever is closed in this context, or None."""


class PoolState:
    """The mark on a pool: its sheet, and whose it is."""

    __slots__ = ("client", "era", "explicit", "pool", "shared", "sheet")

    def __init__(self, pool: Any) -> None:
        self.pool = weakref.ref(pool)
        self.era = -1
        self.client: ClientFacts | None = None
        self.shared = False
        """Several clients use it: it is nobody's."""
        self.explicit = False
        """It was asked to be traced itself, so hooks that go in or out elsewhere change nothing."""
        self.sheet: Pool | None = None

    def __repr__(self) -> str:
        return f"<PoolState {self.sheet!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def belongs_to(self, client: ClientFacts) -> None:
        """``client`` has this pool."""
        if self.client is None and not self.shared:
            self.client = client
        elif self.client is not client:
            self.client, self.shared = None, True

    def current(self, pool: Any, client: int | None) -> Pool:
        """The pool's sheet, stated when it is first used (and again by a forked child)."""
        sheet = self.sheet
        if sheet is None or sheet.epoch != FACTS.epoch:
            sheet = self.sheet = Pool(FACTS.epoch, client if self.client is None else self.client_id)
            sheet.max_connections, sheet.max_idle, sheet.keepalive_expiry = peek.limits_of(pool)
            sheet.blocking = True
            FACTS.put(BEGUN, sheet)
        return sheet

    @property
    def client_id(self) -> int | None:
        """The id of the client whose pool it is, where that is known."""
        client = self.client
        return None if client is None else client.sheet.id


_new: dict[int, PoolState] = {}


def pool_state(pool: Any) -> PoolState:
    """The mark on ``pool``, put there when first asked for."""
    state: PoolState | None = mark_on(pool)
    return _first_state(pool) if state is None else state


def _first_state(pool: Any) -> PoolState:
    # Two threads may use a new pool at once. Whoever comes while one of them is here gets the same state;
    # whoever comes later finds it on the pool, where it was put before it went from `_new`.
    state = _new.setdefault(id(pool), PoolState(pool))
    marked: PoolState | None = mark_on(pool)
    if marked is None:
        marked = state
        set_mark(pool, state)
    _new.pop(id(pool), None)
    return marked


class Flight:
    """One exchange while its request is under way, up to the end of its answer."""

    __slots__ = (
        "answer_headers",
        "assigned_at",
        "bound",
        "holder",
        "http_version",
        "over",
        "pool_state",
        "queued",
        "request",
        "request_headers",
        "sender",
        "sheet",
        "silent",
        "wire",
    )

    def __init__(self, sheet: Exchange, request: Any, pool_state: PoolState, silent: bool) -> None:
        self.sheet = sheet
        self.request = request
        """Cleared when the answer's headers are there."""
        self.pool_state = pool_state
        self.silent = silent
        """Suppressed: it is followed, so that its connection's numbers stay right, and never stated."""
        self.wire: Wire | None = None
        """What it was assigned to last; it may still lose it."""
        self.assigned_at: float | None = None
        self.queued: bool | None = None
        """Whether the pool had no connection for it at once; None where that cannot be seen."""
        self.holder: Any = None
        """The connection object it was assigned to, until the answer's headers are there."""
        self.bound: Any = None
        """The wire that its writes count for, once it has really got it."""
        self.sender: Any = None
        """What knows how far it was written, until the answer's headers are there."""
        self.over = False
        self.request_headers: Any = request.headers
        self.answer_headers: Any = None
        self.http_version = b""

    def __repr__(self) -> str:
        return f"<Flight {self.sheet!r}>"


class Wire:
    """The mark on a connection object of a pool and on its stream. A retried setup gives it another sheet."""

    __slots__ = (
        "_lock",
        "_lock_epoch",
        "connecting",
        "era",
        "flight",
        "h2",
        "mistaken",
        "numbered",
        "open",
        "origin",
        "phase",
        "phase_at",
        "plan",
        "pool_state",
        "prior_knowledge",
        "sheet",
        "silent",
        "step",
        "stream",
        "touched_at",
        "via",
    )

    def __init__(self, connection: Any, pool: Any, origin: RawOrigin, era: int) -> None:
        self.era = era
        self.pool_state = pool_state(pool)
        self.origin = origin
        self.via = peek.via_of(connection, pool)
        self.plan = peek.phases_of(connection, self.via, origin)
        """The phases of its setup, in order."""
        self.step = 0
        self.phase = "connect"
        """What a failure would now belong to."""
        self.phase_at = 0.0
        self.prior_knowledge = self.via != "forward" and peek.prior_knowledge(pool)
        self._lock = threading.RLock()
        self._lock_epoch = FACTS.epoch
        self.sheet: Connection | None = None
        self.silent = False
        self.open = False
        self.h2 = False
        self.numbered = True
        """Whether every request on it went past us."""
        self.stream: int | None = None
        """``id()`` of the stream that is its end now: TLS replaces the one below it."""
        self.connecting: Flight | None = None
        self.touched_at: float | None = None
        """End of the newest read while setup is under way."""
        self.flight: Flight | None = None
        """The newest exchange on it."""
        self.mistaken = False
        """The pool took a running request's answer for the server's close."""

    def __repr__(self) -> str:
        return f"<Wire {self.sheet!r}>"

    @property
    def lock(self) -> threading.RLock:
        """For what may happen in two threads at once: counting HTTP/2 streams, and closing."""
        if self._lock_epoch != FACTS.epoch:  # whoever held it at the fork is not here to let it go
            self._lock, self._lock_epoch = threading.RLock(), FACTS.epoch
        return self._lock


def put(moment: Any, sheet: Any, silent: bool) -> None:
    """State a fact, unless it is to remain unsaid."""
    if not silent:
        FACTS.put(moment, sheet)
