"""The vocabulary: what a hook may state about clients, pools, connections and exchanges.

Each class is a *sheet*: the hook that owns the thing fills in one slot after the other and puts the
sheet on the queue at the moments listed below. The holder of a connection writes its sheet, before it hands the
connection on, so no lock is needed.

Everything here is raw: bytes stay bytes, call sites stay ``(code, line)``. Formatting, classifying and
redacting happen at drain time. A slot that could not be observed stays ``None``.

All ``*_at`` slots are `now()` seconds; ids are unique in a process and start at 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import CodeType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from poolscope.genuine import perf_counter as now
from poolscope.ids import IDS, Count

__all__ = [
    "BEGUN", "DEFAULT_PORTS", "ENDED", "ERROR_TYPES", "OPENED", "Client", "CloseKind", "Connection", "ErrorType", "Exchange",
    "Failure", "HolderState", "HookFailure", "PhaseName", "Pool", "RawCallSite", "Relation", "State", "Via", "WaitKind", "now",
]  # fmt: skip

BEGUN: Final = "begun"
"""A client or pool was built, a connection's setup or an exchange started."""
OPENED: Final = "opened"
"""A connection became usable."""
ENDED: Final = "ended"
"""A client or connection was closed (or its setup failed), an exchange finished or failed."""

Moment: TypeAlias = Literal["begun", "opened", "ended"]
Via: TypeAlias = Literal["direct", "forward", "tunnel", "socks", "uds"]
"""The way to a server: straight, through a proxy (by its forwarding, a tunnel, SOCKS), or by a unix socket."""
Relation: TypeAlias = Literal["redirect", "retry", "auth"]
"""Why one exchange follows another."""
CloseTrigger: TypeAlias = Literal[
    "checkout", "checkin", "checkin_closed", "maintenance", "mistake", "eviction", "client", "manager_eviction",
    "response", "exchange", "excess", "gc", "program",
]  # fmt: skip
"""Who called close: `ledger/closing.py` explains each."""
CloseKind: TypeAlias = Literal["close", "gc", "open_at_exit"]
"""How a client ended; only records say ``open_at_exit``."""
PhaseName: TypeAlias = Literal["dns", "connect", "proxy_tunnel", "tls_context", "tls"]
"""The phases of a connection's setup."""
State: TypeAlias = Literal["waiting", "connecting", "sending", "awaiting_headers", "reading"]
"""How far an exchange in progress is."""
HolderState: TypeAlias = Literal["connecting", "sending", "awaiting_headers", "reading", "not_given_back"]
"""How far an exchange is that holds a slot of its pool; ``not_given_back``: it is over, but its pool never got the slot back."""
WaitKind: TypeAlias = Literal["pool", "stream"]  # a connection of its pool, or a stream on one
RawCallSite: TypeAlias = tuple[CodeType, int]
RawOrigin: TypeAlias = "tuple[bytes | str, bytes | str, int | None]"
"""(scheme, host, port); port is None when the scheme's default applies."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
ErrorType: TypeAlias = Literal[
    "dns_error", "connection_refused", "connect_timeout", "connection_error", "tls_certificate", "tls_error",
    "proxy_error", "pool_timeout", "write_timeout", "read_timeout", "response_ended", "reset", "protocol_error",
    "body_cut", "_OTHER",
]  # fmt: skip
"""What went wrong, in the same words for every library. A cancellation is not an error and has none."""
ERROR_TYPES: Final[tuple[ErrorType, ...]] = get_args(ErrorType)


class Failure(NamedTuple):
    """What went wrong: its type, and what the system says of it. Never an exception's own text."""

    type: ErrorType
    code: str | None = None
    """Name of the errno or of getaddrinfo's code: ``ECONNREFUSED``, ``EAI_NONAME``."""
    said: str | None = None
    """The system's words for that code, or OpenSSL's reason."""
    connection: int | None = None
    """Id of the connection that could not be set up."""
    proxy: tuple[bytes | str, int | None] | None = None
    """Host and port, if its proxy failed and not the server."""


class _Sheet:
    """Shows the slots that hold something, by name."""

    __slots__: Sequence[str] = ()

    def __repr__(self) -> str:
        known = ((name, getattr(self, name, None)) for name in self.__slots__ if name[0] != "_")
        shown = " ".join(f"{name}={value!r}" for name, value in known if value not in (None, [], False))
        return f"<{type(self).__name__} {shown}>"


class Client(_Sheet):
    """What the user builds: ``httpx.Client``, ``requests.Session``, ``urllib3.PoolManager``, …

    Queued BEGUN when constructed, ENDED when closed or garbage-collected.
    """

    __slots__ = (
        "ca_time call_site close_kind closed_at construction_time created_at epoch id kind line loop sdk_call_site "
        "settings apart_from_credentials started inherited_from"
    ).split()

    def __init__(self, kind: str, epoch: int, created_at: float | None = None) -> None:
        self.id = IDS.client.up()
        self.kind = kind
        """``requests.Session``, ``requests.get``, ``httpx.Client``, ``httpx2.get``, ``urllib3.PoolManager``…"""
        self.epoch = epoch
        self.created_at = created_at  # None when the client was already alive at `instrument()`
        self.construction_time: float | None = None
        self.ca_time: float | None = None
        """Seconds that loading CA certificates took for it, some perhaps before it was built."""
        self.call_site: RawCallSite | None = None
        """First frame outside site-packages and the standard library: the user's line."""
        self.sdk_call_site: RawCallSite | None = None
        """First frame outside the HTTP libraries, when that is not the user's line."""
        self.line: tuple[int, ...] | None = None  # its call site as numbers, once it is used
        self.loop: int | None = None  # a small number for its event loop; None outside of one
        self.settings: int | None = None
        """Equal numbers mean equal TLS, proxy and auth settings (values are never kept)."""
        self.apart_from_credentials: int | None = None  # the same without them; None while it sent none
        self.inherited_from: int | None = None  # its id in the process that this one was forked from
        self.closed_at: float | None = None
        self.close_kind: CloseKind | None = None
        self.started = Count()  # exchanges it has started


class Pool(_Sheet):
    """What holds connections inside a client. Queued BEGUN once, when it is first used."""

    __slots__ = "blocking client epoch id keepalive_expiry max_connections max_idle name starved_at".split()

    def __init__(self, epoch: int, client: int | None = None) -> None:
        self.id = IDS.pool.up()
        self.epoch = epoch
        self.client = client
        self.name: str | None = None  # what the program calls it, if it does
        self.max_connections: int | None = None
        self.max_idle: int | None = None
        self.keepalive_expiry: float | None = None
        self.blocking: bool | None = None
        self.starved_at = float("-inf")  # when the holders of its connections were last noted


class Connection(_Sheet):
    """One socket, from the start of its setup to its close.

    Queued BEGUN when setup starts, OPENED when it is usable, ENDED when setup failed or it was closed.
    """

    __slots__ = (
        "active_at_close alpn answer_closes answers attempts body_complete busy ca_time cipher client close_time "
        "close_trigger closed_at dns_name eof epoch error failed_phase failure first_length goaway http_version id idle_left "
        "idle_since in_flight keepalive_expiry last_status live local loop lost_time max_streams opened_at opened_by origin peer "
        "phases pool readable_at request_closes requests resumed server_keepalive "
        "setup_started_at span tls_version tried unsettled via"
    ).split()

    def __init__(self, origin: RawOrigin, epoch: int) -> None:
        self.id = IDS.connection.up()
        self.epoch = epoch
        self.origin = origin
        self.client: int | None = None
        self.pool: int | None = None
        self.via: Via | None = None
        self.local: Any = None  # what getsockname() said
        self.peer: Any = None  # what getpeername() said
        self.setup_started_at: float | None = None
        self.opened_at: float | None = None
        """None for a connection that was open before `instrument()`."""
        self.phases: list[tuple[PhaseName, float, float]] = []
        """(phase, started_at, ended_at)."""
        self.busy: dict[PhaseName, float] = {}
        """Seconds of a phase, at least, that the program itself was busy; empty where that cannot be seen."""
        self.dns_name: bytes | str | None = None
        """The name that was looked up in the ``dns`` phase: the origin's, or behind a proxy the proxy's."""
        self.answers: tuple[str, ...] | None = None
        """The addresses that its lookup found; None where that cannot be seen."""
        self.attempts: int | None = None
        """Addresses tried; where those cannot be seen (httpcore on trio): tries at connecting."""
        self.tried: list[tuple[Any, float, float, Failure | None]] = []
        """The attempts, as (address or None, started_at, ended_at, what went wrong)."""
        self.ca_time: float | None = None
        """Seconds of its setup that loading CA certificates took."""
        self.lost_time: float | None = None
        """Seconds spent on addresses that failed before another one answered; None if that cannot be seen."""
        self.loop: int | None = None  # a small number for its event loop; None outside of one
        self.failed_phase: PhaseName | None = None
        self.http_version: str | None = None  # 1.0, 1.1 or 2
        self.max_streams: int | None = None
        """HTTP/2: how many requests it serves at once, by the server's limit or the library's own lower one."""
        self.tls_version: str | None = None  # as the ssl module says it: TLSv1.3
        self.cipher: str | None = None
        self.alpn: str | None = None
        self.resumed: bool | None = None
        self.opened_by: int | None = None
        """Id of the exchange that set it up."""
        self.requests = 0
        self.idle_since: float | None = None
        self.in_flight: set[int] = set()
        """Ids of the exchanges it is serving (a set: add and discard are atomic)."""
        self.unsettled: set[int] = set()
        """Ids of its exchanges that the ledger has not yet seen end: its close is reported after them."""
        self.span: Any = None
        """SpanContext of the setup span, set on the live path; never a Context."""
        self.live: Any = None
        """What the live path's door remembers about it: plain values only."""
        # What was seen before and at the close; ledger/closing.py draws the conclusion.
        self.closed_at: float | None = None
        """When the library's close of the socket began; when its setup failed; when it was collected."""
        self.close_time: float | None = None
        """Seconds that close took from there; None where nobody called it (setup failed, collected)."""
        self.idle_left: int | None = None
        """Idle connections that its pool kept when it closed this one as one too many."""
        self.active_at_close = 0
        """Exchanges it was serving when its close began."""
        self.close_trigger: CloseTrigger | None = None
        """Who called close: see ledger/closing.py."""
        self.keepalive_expiry: float | None = None
        self.server_keepalive: float | None = None
        """Seconds from the ``Keep-Alive: timeout`` of its first answer."""
        self.first_length: int | None = None
        """Content-Length of its first answer."""
        self.readable_at: float | None = None
        """When the library first found the idle socket readable (the server said or closed something)."""
        self.eof = False
        """A read returned no bytes while an answer was expected."""
        self.goaway = False
        """The library had received an HTTP/2 GOAWAY when it closed the connection."""
        self.error: str | None = None
        """Class name of the last exception seen on the socket."""
        self.failure: Failure | None = None
        """What that exception meant; None for a cancellation."""
        self.last_status: int | None = None
        """Status of the newest exchange's answer; None while it has none."""
        self.body_complete: bool | None = None
        """Whether the newest exchange's answer was read to its end."""
        self.answer_closes: bool | None = None
        """The newest answer said the connection will not be kept (``Connection: close``, HTTP/1.0)."""
        self.request_closes: bool | None = None
        """The newest request asked for that itself."""


class Exchange(_Sheet):
    """One request and its response on one connection: one hop, one attempt.

    It exists from the moment it asks (`story.live` knows it), and is queued once: ENDED, when its body was
    read, closed or dropped, or when it failed.
    """

    __slots__ = (
        "_mark _peers _pool assigned_at body_complete call_site client connecting connection epoch error "
        "failed_attempts failure finished_at headers_at holders id idle_time in_flight instead joined live loop method "
        "origin pool pool_wait previous queued relation request_number resends reused route sent_at served served_call "
        "silent span started_at status stream_asked_at stream_id stream_wait target task thread"
    ).split()

    def __init__(
        self,
        origin: RawOrigin,
        epoch: int,
        started_at: float,
        method: bytes | str | None = None,
        target: bytes | str | None = None,
    ) -> None:
        self.id = IDS.exchange.up()
        self.epoch = epoch
        self.origin = origin
        self.started_at = started_at
        self.method = method
        self.target = target
        """Path and query, or a whole URL behind a forward proxy."""
        self.client: int | None = None
        self.pool: int | None = None
        self.connection: Connection | None = None
        """None until it really has one, and for good if it never gets one."""
        self.request_number: int | None = None
        self.stream_id: int | None = None
        self.reused: bool | None = None
        self.joined: bool | None = None
        self.idle_time: float | None = None
        self.pool_wait: float | None = None
        """Seconds from asking the pool to holding a usable connection, without setup."""
        self.stream_wait: float | None = None  # the part of it that it waited for a stream
        self.stream_asked_at: float | None = None  # when its wait for a stream of its HTTP/2 connection began
        self.sent_at: float | None = None
        """When the last byte of the request was written."""
        self.headers_at: float | None = None
        self.finished_at: float | None = None
        self.status: int | None = None
        self.error: str | None = None
        """Fully qualified class name of the exception that ended it, never its text."""
        self.failure: Failure | None = None
        """What that exception meant; None for a cancellation."""
        self.body_complete: bool | None = None
        self.previous: int | None = None
        """Id of the exchange before it in the same call (redirect, retry, auth)."""
        self.resends = 0
        """How many exchanges came before it in the same call."""
        self.relation: Relation | None = None
        """None where the reason is not visible."""
        self.thread: int | None = None
        self.task: str | None = None
        self.loop: int | None = None
        """A small number for the event loop it runs on; None outside of one."""
        self.call_site: RawCallSite | None = None
        self.route: str | None = None
        """The route of the program's own server that it was sent for: ``GET /cart/{id}``."""
        self.served: int | None = None
        """Number of the request that the program served meanwhile."""
        self.served_call: int | None = None
        """Its place among the exchanges of that request, from 1."""
        self.failed_attempts = 0
        """How often it lost a connection again that it had been assigned (httpcore's ConnectionNotAvailable)."""
        self.span: Any = None
        """SpanContext of the request's span, set on the live path; never a Context."""
        self.live: Any = None
        """What the live path's door remembers about it from start to headers."""
        self.silent = False
        """Suppressed: followed, so that its connection's numbers stay right, but never reported."""
        self.in_flight: int | None = None
        """Exchanges in flight from the same client's line to this origin when it started, itself included."""
        self._peers: dict[int, None] = {}
        """Those exchanges; taking this one out of them is what ends it."""
        self._mark: Any = None
        """The mark of its assigned connection, which it may still lose."""
        self._pool: Any = None
        """The mark of the pool that it asks."""
        self.assigned_at: float | None = None
        """When its pool last handed it a connection, which it may still lose."""
        self.queued: bool | None = None
        """Whether it had to queue for a connection; None where that cannot be seen."""
        self.connecting: Connection | None = None
        """The connection that it is setting up."""
        self.holders: tuple[tuple[Exchange, HolderState], ...] | None = None
        """The holders of its pool's connections and their states, noted while it waited."""
        self.instead: Any = None
        """The changed argument of its request, if the live door added headers."""


class HookFailure(_Sheet):
    """A hook raised: queued BEGUN each time, with ``disabled`` set once it switched itself off."""

    __slots__ = ("disabled", "error", "hook")

    def __init__(self, hook: str, error: str, disabled: bool) -> None:
        self.hook = hook
        self.error = error
        self.disabled = disabled


Sheet: TypeAlias = Client | Pool | Connection | Exchange | HookFailure
