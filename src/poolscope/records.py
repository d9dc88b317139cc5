"""What the ledger yields and a saved file holds: plain typed data, one record a line.

Times are seconds on the process's monotonic clock; the header of the same ``pid`` has the Unix time of its zero.
``None`` means: not observed. Connections and clients are yielded when opened and again when closed; exchanges
when over, and before that if they take long; the last record of a ``(pid, id)`` wins. See docs/record.schema.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from math import isfinite
from operator import attrgetter
from typing import Any, ClassVar, Literal, TypeAlias, get_args

from poolscope.call_site import CallSite
from poolscope.facts import CloseKind, ErrorType, HolderState, PhaseName, Relation, State, Via, WaitKind

__all__ = [
    "SCHEMA_VERSION", "CallSite", "Client", "CloseReason", "ClosedBy", "Connection", "Exchange", "Finding", "Header",
    "Holder", "HolderState", "Phase", "PhaseName", "Pool", "Record", "Severity", "State", "Summary", "from_json", "to_json",
]  # fmt: skip

SCHEMA_VERSION = 2

Severity: TypeAlias = Literal["warning", "info"]  # info: true, but not urgent
ClosedBy: TypeAlias = Literal["client", "server", "network", "gc"]
CloseReason: TypeAlias = Literal[
    "server_closed_idle", "keepalive_expired", "max_keepalive_surplus", "evicted_max_connections",
    "closed_under_request", "pool_full", "pool_closed", "pool_evicted", "connection_close_header", "http_1_0",
    "response_not_read", "upgraded", "http2_goaway", "server_closed_no_response", "server_closed_mid_body", "timeout",
    "cancelled", "reset", "protocol_error", "exchange_failed", "client_close", "client_close_active", "program_close",
    "gc", "gc_active", "unknown",
]  # fmt: skip
"""`ledger/closing.py` concludes which; docs/report.md has a sentence for each."""


@dataclass(slots=True, frozen=True)
class Phase:
    """One phase of a connection's setup; ``start`` is on the monotonic clock, ``duration`` in seconds."""

    start: float
    duration: float
    busy: float | None = None
    """Seconds of it, at least, that the program itself was busy; None if that cannot be seen."""


@dataclass(slots=True)
class Header:
    """One per process, first: the process, and the Unix time of its monotonic zero."""

    type: ClassVar[Literal["header"]] = "header"
    pid: int
    schema: int
    poolscope: str
    python: str
    wall_at_zero: float
    """Unix time at monotonic zero."""
    started_at: float
    libraries: dict[str, str] = field(default_factory=dict)
    program: str | None = None
    """The script's or module's name, without its arguments."""
    parent: int | None = None
    origins: list[str] = field(default_factory=list)
    """Only origins that match these patterns have records; if empty, all have."""


@dataclass(slots=True)
class Client:
    """What the user builds."""

    type: ClassVar[Literal["client"]] = "client"
    pid: int
    id: int
    kind: str
    created_at: float | None
    construction_time: float | None
    call_site: CallSite | None
    sdk_call_site: CallSite | None
    loop: int | None = None
    settings: int | None = None
    requests: int = 0
    closed_at: float | None = None
    close_kind: CloseKind | None = None
    ca_time: float | None = None
    """Seconds that loading CA certificates took for it, some perhaps before it was built."""
    apart_from_credentials: int | None = None
    """Equal numbers: equal settings, whatever the credentials; None if it sent none."""
    inherited_from: int | None = None
    """Its id in the process that reported it before the fork, the parent or one further up; None if none did."""


@dataclass(slots=True)
class Pool:
    """What holds connections inside a client."""

    type: ClassVar[Literal["pool"]] = "pool"
    pid: int
    id: int
    client: int | None
    max_connections: int | None
    max_idle: int | None
    keepalive_expiry: float | None
    blocking: bool | None


@dataclass(slots=True)
class Connection:
    """One socket, from the start of its setup to its close."""

    type: ClassVar[Literal["connection"]] = "connection"
    pid: int
    id: int
    client: int | None
    pool: int | None
    origin: str
    via: Via | None
    local_address: str | None = None
    local_port: int | None = None
    peer_address: str | None = None
    """The proxy's behind one; where connecting failed, the one tried last, if it is known."""
    peer_port: int | None = None
    setup_started_at: float | None = None
    opened_at: float | None = None
    setup: dict[str, Phase] = field(default_factory=dict)
    """Phase name → when and how long; ``total`` spans all of it."""
    attempts: int | None = None
    failed_phase: PhaseName | None = None
    http_version: str | None = None
    tls_version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    resumed: bool | None = None
    opened_by: int | None = None
    requests: int = 0
    idle_since: float | None = None
    server_keepalive: float | None = None
    """Seconds that the server said it keeps the connection when idle."""
    inherited: bool = False
    """Opened by the process this one was forked from."""
    closed_at: float | None = None
    close_time: float | None = None
    close_reason: CloseReason | None = None
    closed_by: ClosedBy | None = None
    error: str | None = None
    error_type: ErrorType | None = None
    """What that exception meant; None for a cancellation."""
    ca_time: float | None = None
    """Seconds of its setup that loading CA certificates took."""
    first_length: int | None = None
    """Content-Length of its first answer; None where it had none."""
    idle_left: int | None = None
    """Idle connections that its pool kept when it closed this one as one too many."""
    loop: int | None = None
    """A small number for the event loop it was opened on; None outside of one."""
    lost_time: float | None = None
    """Seconds spent on addresses that failed before another one answered; None if that cannot be seen."""
    max_streams: int | None = None
    """HTTP/2: how many requests it serves at once; None before its first answer."""
    span: Any = field(default=None, repr=False, compare=False, metadata={"saved": False})
    """SpanContext of its setup span, in the process that saw it."""


@dataclass(slots=True, frozen=True)
class Holder:
    """Requests of one kind that held slots of a pool while another request waited for one."""

    slots: int
    method: str | None
    url: str | None
    state: HolderState
    since: float | None
    """When the oldest of them began."""
    call_site: CallSite | None
    stream: bool = False
    """What they hold are streams of one HTTP/2 connection."""


@dataclass(slots=True)
class Exchange:
    """One request and its response on one connection."""

    type: ClassVar[Literal["exchange"]] = "exchange"
    pid: int
    id: int
    connection: int | None
    client: int | None
    pool: int | None
    origin: str
    method: str | None
    url: str | None
    request_number: int | None = None
    reused: bool | None = None
    joined: bool | None = None
    stream_id: int | None = None
    idle_time: float | None = None
    pool_wait: float | None = None
    waited_for: WaitKind | None = None
    failed_attempts: int = 0
    started_at: float | None = None
    sent_at: float | None = None
    headers_at: float | None = None
    finished_at: float | None = None
    status: int | None = None
    error: str | None = None
    body_complete: bool | None = None
    previous: int | None = None
    relation: Relation | None = None
    thread: int | None = None
    task: str | None = None
    call_site: CallSite | None = None
    in_flight: int | None = None
    """Exchanges in flight to this origin from the same client call site when it started, itself included."""
    error_type: ErrorType | None = None
    """What that exception meant; None for a cancellation."""
    failed_setup: int | None = None
    """Id of the connection that could not be set up for it."""
    state: State | None = None
    """How far it is while in progress; None when over."""
    open_at_exit: bool = False
    """It was in progress when the program, or the block that was watched, ended."""
    loop: int | None = None
    """A small number for the event loop it ran on; None outside of one."""
    holders: list[Holder] | None = None
    """The holders of its pool's slots when it gave up, or had waited for long; None if poolscope did not look."""
    route: str | None = None
    """The route of the program's own server that it was sent for, with its method: ``GET /cart/{id}``."""
    served: int | None = None
    """Number of the request that was served meanwhile, unique in its process."""
    served_call: int | None = None
    """Its place among the exchanges of that request, from 1."""


@dataclass(slots=True)
class Finding:
    """A habit that costs connections, with the line that has it. ``cost`` and ``saving`` in seconds."""

    type: ClassVar[Literal["finding"]] = "finding"
    pid: int
    code: str
    title: str
    origin: str | None
    call_site: CallSite | None
    sdk_call_site: CallSite | None
    count: int
    cost: float | None
    """Summed over all threads and tasks."""
    saving: float | None
    """Elapsed seconds that the fix saves; None where that is not proven."""
    fix: str
    sentence: str = ""
    severity: Severity = "warning"
    kind: str | None = None
    """What the program builds or calls there: ``requests.get``, ``httpx.Client``."""
    at_least: bool = True
    """The fix may save more than ``saving``."""
    parts: dict[str, float] = field(default_factory=dict)
    """What the cost is made of: construction, dns, connect, tls_context, tls, close, … in seconds."""
    notes: list[str] = field(default_factory=list)
    """Further sentences: what else this explains, and what the fix will not change."""
    line_origins: tuple[str, ...] = field(default=(), compare=False, metadata={"saved": False})
    """The servers that the same line has this habit with, if there are several."""
    line_saving: float | None = field(default=None, compare=False, metadata={"saved": False})
    """Elapsed seconds that the fix saves with all of them; None for one server."""


@dataclass(slots=True)
class Summary:
    """One per process, last: how it ended and what could not be reported."""

    type: ClassVar[Literal["summary"]] = "summary"
    pid: int
    ended_at: float
    wall_time: float
    exit_code: int | None
    requests: int
    connections: int
    clients: int
    facts_dropped: int = 0
    hooks_disabled: list[str] = field(default_factory=list)
    children_not_followed: int = 0
    not_observed: list[str] = field(default_factory=list)
    """HTTP clients that it had imported and that poolscope does not observe."""


Record: TypeAlias = Header | Client | Pool | Connection | Exchange | Finding | Summary

_TYPES: dict[str, type[Any]] = {cls.type: cls for cls in get_args(Record)}
_FIELDS: dict[type[Any], tuple[str, ...]] = {
    cls: tuple(f.name for f in fields(cls) if f.metadata.get("saved", True))
    for cls in (*_TYPES.values(), CallSite, Phase, Holder)
}
_VALUES: dict[type[Any], attrgetter[Any]] = {cls: attrgetter(*_FIELDS[cls]) for cls in _TYPES.values()}
_LINES: dict[type[Any], str] = {
    cls: f'{{"type":"{kind}"' + "".join(f',"{name}":%s' for name in _FIELDS[cls]) + "}"
    for kind, cls in _TYPES.items()
}


def to_json(record: Record) -> str:
    """One line of JSON, without the newline."""
    cls, writer, encode = type(record), _WRITERS.get, _encode
    values = ["null" if v is None else writer(type(v), encode)(v) for v in _VALUES[cls](record)]
    return _LINES[cls] % tuple(values)


def _plain(value: Any) -> Any:
    return {name: getattr(value, name) for name in _FIELDS[type(value)]}


_encode = json.JSONEncoder(default=_plain, separators=(",", ":")).encode
_WRITERS: dict[type[Any], Callable[[Any], str]] = {
    int: int.__repr__,
    float: lambda value: repr(value) if isfinite(value) else _encode(value),
    bool: {False: "false", True: "true"}.__getitem__,
    CallSite: lru_cache(4_096)(_encode),
}
"""The encoder alone takes half as long again for a record: most values are None or a number."""


def from_json(line: str | bytes) -> Record:
    """The record of one line; ValueError if it is not a record of poolscope. Unknown fields are ignored."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    cls = _TYPES.get(data.get("type", ""))
    if cls is None:
        raise ValueError(f"unknown record type {data.get('type')!r}")
    known = _known(cls, data)
    if cls is Connection:
        known["setup"] = {
            phase: Phase(**_known(Phase, value)) for phase, value in (known.get("setup") or {}).items()
        }
    if cls is Exchange and known.get("holders"):
        known["holders"] = [Holder(**_known(Holder, value)) for value in known["holders"]]
    try:
        record: Record = cls(**known)
    except TypeError as error:
        raise ValueError(str(error)) from None
    return record


def _known(cls: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    known = {name: data[name] for name in _FIELDS[cls] if name in data}
    for name in ("call_site", "sdk_call_site"):
        if isinstance(known.get(name), dict):
            known[name] = CallSite(**known[name])
    return known
