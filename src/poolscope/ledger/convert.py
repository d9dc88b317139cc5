"""From a hook's raw sheet to a record that people and programs can read."""

from __future__ import annotations

from types import CodeType
from typing import Any

from poolscope import facts, records
from poolscope.ledger.closing import classify
from poolscope.ledger.urls import format_origin, format_url, text

SITES_KEPT = 4_096
# By identity, because hashing a code object hashes its whole bytecode; the code is kept so that its id is its own.
_sites: dict[tuple[int, int], tuple[CodeType, records.CallSite]] = {}


def call_site(raw: facts.RawCallSite | None) -> records.CallSite | None:
    """The line of code a raw site names."""
    if raw is None:
        return None
    code, line = raw
    known = _sites.get((id(code), line))
    if known is None:
        if len(_sites) >= SITES_KEPT:
            _sites.clear()
        known = code, records.CallSite(code.co_filename, line, code.co_qualname)
        _sites[id(code), line] = known
    return known[1]


def client(sheet: facts.Client, pid: int, over: bool = True) -> records.Client:
    """The record of a client; unless it is over, nothing of its end."""
    return records.Client(
        pid=pid,
        id=sheet.id,
        kind=sheet.kind,
        created_at=sheet.created_at,
        construction_time=sheet.construction_time,
        call_site=call_site(sheet.call_site),
        sdk_call_site=call_site(sheet.sdk_call_site),
        loop=sheet.loop,
        settings=sheet.settings,
        requests=sheet.started.value,
        closed_at=sheet.closed_at if over else None,
        close_kind=sheet.close_kind if over else None,
    )


def pool(sheet: facts.Pool, pid: int) -> records.Pool:
    """The record of a pool."""
    return records.Pool(
        pid=pid,
        id=sheet.id,
        client=sheet.client,
        max_connections=sheet.max_connections,
        max_idle=sheet.max_idle,
        keepalive_expiry=sheet.keepalive_expiry,
        blocking=sheet.blocking,
    )


def connection(sheet: facts.Connection, pid: int, epoch: int, over: bool = True) -> records.Connection:
    """The record of a connection as it stands: in setup, open, closed or failed; unless over, not of its end."""
    local, peer = _address(sheet.local), _address(sheet.peer)
    reason, closed_by = None, None
    if over and sheet.closed_at is not None and sheet.failed_phase is None:
        reason, closed_by = classify(sheet)
    return records.Connection(
        pid=pid,
        id=sheet.id,
        client=sheet.client,
        pool=sheet.pool,
        origin=format_origin(sheet.origin),
        via=sheet.via,
        local_address=local[0],
        local_port=local[1],
        peer_address=peer[0],
        peer_port=peer[1],
        setup_started_at=sheet.setup_started_at,
        opened_at=sheet.opened_at,
        setup=_setup(sheet),
        attempts=sheet.attempts,
        failed_phase=sheet.failed_phase,
        http_version=sheet.http_version,
        tls_version=sheet.tls_version,
        cipher=sheet.cipher,
        alpn=sheet.alpn,
        resumed=sheet.resumed,
        opened_by=sheet.opened_by,
        requests=sheet.requests,
        idle_since=sheet.idle_since,
        server_keepalive=sheet.server_keepalive,
        inherited=sheet.epoch != epoch,
        closed_at=sheet.closed_at if over else None,
        close_time=sheet.close_time if over else None,
        close_reason=reason,
        closed_by=closed_by,
        error=sheet.error,
        span=sheet.span,
    )


def _address(raw: Any) -> tuple[str | None, int | None]:
    """Address and port of what getsockname or getpeername said; a unix socket has a path only."""
    if isinstance(raw, tuple | list) and len(raw) >= 2:
        return str(raw[0]), int(raw[1])
    return (text(raw) or None) if isinstance(raw, bytes | str) else None, None


def _setup(sheet: facts.Connection) -> dict[str, records.Phase]:
    setup: dict[str, records.Phase] = {}
    for name, start, end in sheet.phases:
        before = setup.get(name)  # a retried setup runs a phase again: first start, summed durations
        setup[name] = (
            records.Phase(start, end - start)
            if before is None
            else records.Phase(before.start, before.duration + end - start)
        )
    began, ended = sheet.setup_started_at, sheet.opened_at
    if ended is None and sheet.failed_phase is not None:
        ended = sheet.closed_at
    if began is not None and ended is not None:
        setup["total"] = records.Phase(began, ended - began)
    return setup


def exchange(
    sheet: facts.Exchange, pid: int, keep_query: bool, state: str | None = None, *, keep_path: bool = False
) -> records.Exchange:
    """The record of an exchange that is over, or in the ``state`` it has reached."""
    origin = format_origin(sheet.origin)
    return records.Exchange(
        pid=pid,
        id=sheet.id,
        connection=None if sheet.connection is None else sheet.connection.id,
        client=sheet.client,
        pool=sheet.pool,
        origin=origin,
        method=text(sheet.method),
        url=format_url(origin, sheet.target, keep_query, keep_path),
        request_number=sheet.request_number,
        reused=sheet.reused,
        joined=sheet.joined,
        stream_id=sheet.stream_id,
        idle_time=sheet.idle_time,
        pool_wait=sheet.pool_wait,
        failed_attempts=sheet.failed_attempts,
        started_at=sheet.started_at,
        sent_at=sheet.sent_at,
        headers_at=sheet.headers_at,
        finished_at=sheet.finished_at,
        status=sheet.status,
        error=sheet.error,
        body_complete=sheet.body_complete,
        previous=sheet.previous,
        relation=sheet.relation,
        thread=sheet.thread,
        task=sheet.task,
        call_site=call_site(sheet.call_site),
        in_flight=sheet.in_flight,
        state=state,
        route=sheet.route,
        served=sheet.served,
        served_call=sheet.served_call,
    )
