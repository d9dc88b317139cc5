"""Our attributes on httpcore's objects: a mark on pools and connections, a leash on streams and answers. A mark
refers to sheets only. A leash reports when the garbage collector takes its object; only that object refers to it, and
after a close it is empty.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final
from weakref import ref

from poolscope.facts import CloseTrigger, Exchange, Pool, RawOrigin, Via
from poolscope.libraries.guard import guard
from poolscope.libraries.httpcore import names
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.story.connection import ConnectionMark, Setup
from poolscope.story.exchange import dropped
from poolscope.story.pool import PoolMark
from poolscope.story.sight import NEVER

CLOSER: Final[ContextVar[CloseTrigger | None]] = ContextVar("poolscope_httpcore_closer", default=None)
"""The close trigger of whatever is closed in this context."""


class Pooled(PoolMark):
    """The mark on a pool."""

    __slots__ = ("asynchronous", "pool")

    def __init__(self, pool: Any) -> None:
        super().__init__(NEVER)
        self.pool = ref(pool)
        self.asynchronous = hasattr(pool, "aclose")

    @property
    def client_id(self) -> int | None:
        """The id of the pool's client, if known."""
        return None if self.client is None else self.client.sheet.id

    def describes(self, sheet: Pool) -> None:
        """Note the pool's limits."""
        names.describe(self.pool(), sheet)


class Wire(ConnectionMark):
    """The mark on a connection of a pool."""

    __slots__ = (
        "connecting",
        "http2",
        "origin",
        "plan",
        "pool",
        "prior_knowledge",
        "protocol",
        "step",
        "via",
    )

    def __init__(self, connection: Any, pool: Any, mark: Pooled) -> None:
        super().__init__()
        self.pool = mark
        self.origin: RawOrigin = names.remote_origin_of(connection)
        self.via: Via = names.via_of(connection, pool)
        self.plan = names.phases_of(connection, self.via, self.origin)
        """The phases of its setup, in order."""
        self.step = 0
        self.connecting = False
        """Whether a backend is connecting: one backend may call another."""
        self.prior_knowledge = self.via != "forward" and names.prior_knowledge(pool)
        self.http2 = False
        self.protocol: ref[Any] | None = None
        """The protocol object on it."""
        set_mark(connection, self)

    def is_met(self, protocol: Any) -> None:
        """``protocol`` speaks HTTP on it from now on."""
        self.protocol = ref(protocol)
        self.http2 = names.speaks_http2(protocol)
        if self.sheet is not None and self.http2:
            self.sheet.http_version = "2"

    def heard_settings(self) -> None:
        """Note how many streams the server and httpcore allow: the server's settings come before any answer."""
        protocol = None if self.protocol is None else self.protocol()
        if self.http2 and self.sheet is not None:
            self.sheet.max_streams = names.max_streams(protocol)

    def is_setting_up_for(self, exchange: Exchange) -> bool:
        """Whether its setup is under way for ``exchange``."""
        return self.setup is not None and self.setup.exchange is exchange

    def ends_phase(self, setup: Setup, at: float | None = None) -> None:
        """The phase that setup is in has ended; the next one begins."""
        if self.step < len(self.plan):
            setup.phase = self.plan[self.step]
            self.step += 1
            setup.over(self.plan[min(self.step, len(self.plan) - 1)], at)

    def is_set_up(self) -> bool:
        """Whether every phase that was planned has ended."""
        return self.step >= len(self.plan)

    def is_usable(self) -> None:
        """End the rest of the plan."""
        sheet = self.sheet
        if sheet is not None and self.setup is not None:
            if sheet.alpn == "h2" or self.prior_knowledge:
                sheet.http_version = "2"
            self.opened()


class StreamLeash:
    """On the outermost stream of a connection: TLS replaces the stream below it."""

    __slots__ = ("sheet", "wire")

    def __init__(self, wire: Wire) -> None:
        self.wire: Wire | None = wire
        self.sheet = wire.sheet
        """Its socket's: a setup that failed may be followed by another."""

    def __repr__(self) -> str:
        return f"<StreamLeash of {self.wire!r}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def holds_nothing(self) -> None:
        """Empty it, so that nothing is reported when it is collected."""
        self.wire = self.sheet = None

    @property
    def live(self) -> Wire | None:
        """The connection, while this is its end."""
        wire = self.wire
        return None if wire is None or self.sheet is None or wire.sheet is not self.sheet else wire

    def __del__(self) -> None:
        if self.wire is not None and _stream_collected is not None:
            _stream_collected(self)


@guard("httpcore.stream_collected")
def _stream_collected(leash: StreamLeash) -> None:
    wire = leash.live
    if wire is not None and wire.setup is None:
        wire.collected()


class AnswerLeash:
    """On the response stream of a pool; knows the stream inside that one."""

    __slots__ = ("exchange", "inner")

    def __init__(self, exchange: Exchange, inner: Any) -> None:
        self.exchange: Exchange | None = exchange
        self.inner = inner

    def __repr__(self) -> str:
        return f"<AnswerLeash of {self.exchange!r}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def holds_nothing(self) -> None:
        """Empty it, so that nothing is reported when it is collected."""
        self.exchange = self.inner = None

    def __del__(self) -> None:
        if self.exchange is not None and _answer_collected is not None:
            _answer_collected(self.exchange, self.inner)


@guard("httpcore.answer_collected")
def _answer_collected(exchange: Exchange, inner: Any) -> None:
    dropped(exchange, None if exchange.status == 101 else names.was_read(inner))


def leash_stream(stream: Any, wire: Wire) -> bool:
    """Make ``stream`` the end of ``wire``; False if it takes no mark."""
    let_go(stream)
    return leave(stream, StreamLeash(wire))


def leave(thing: Any, leash: StreamLeash | AnswerLeash) -> bool:
    """Put ``leash`` on ``thing``; False if it takes no attribute, and so cannot be followed."""
    try:
        set_mark(thing, leash)
    except (AttributeError, TypeError):  # its class has slots
        leash.holds_nothing()
        return False
    return True


def let_go(stream: Any) -> None:
    """``stream`` is no longer the end of a connection."""
    leash = mark_on(stream)
    if isinstance(leash, StreamLeash):
        leash.holds_nothing()


def wire_of(stream: Any) -> Wire | None:
    """The connection of the outermost stream ``stream``."""
    leash = mark_on(stream)
    return leash.live if isinstance(leash, StreamLeash) else None
