"""From a hook's raw sheet to a record that people and programs can read."""

from __future__ import annotations

import sys
from itertools import takewhile
from types import CodeType
from typing import Any

from poolscope import facts, records
from poolscope.call_site import COMMAND
from poolscope.ledger.closing import classify
from poolscope.ledger.urls import format_origin, format_url, text

SITES_KEPT = 4_096
HOLDERS = 20
"""At most this many kinds of requests are named as holders of a pool's slots."""
# By identity, because hashing a code object hashes its whole bytecode; the code is kept so that its id is its own.
_sites: dict[tuple[int, int], tuple[CodeType, records.CallSite]] = {}


def call_site(raw: facts.RawCallSite | None) -> records.CallSite | None:
    """The line of code of a raw call site."""
    if raw is None:
        return None
    code, line = raw
    known = _sites.get((id(code), line))
    if known is None:
        if len(_sites) >= SITES_KEPT:
            _sites.clear()
        known = code, records.CallSite(_file(code, line), line, code.co_qualname)
        _sites[id(code), line] = known
    return known[1]


def _file(code: CodeType, line: int) -> str:
    if code.co_filename != "<string>" or sys.argv[:1] != ["-c"]:
        return code.co_filename
    # xdist's workers are one short command each, and all else that has no file there is exec()'s.
    command = "".join(sys.orig_argv[-len(sys.argv) :][:1])
    return COMMAND if line <= command.count("\n") + 1 else code.co_filename


def client(sheet: facts.Client, pid: int, over: bool = True) -> records.Client:
    """The record of a client; without its end unless ``over``."""
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
        ca_time=sheet.ca_time,
        apart_from_credentials=sheet.apart_from_credentials,
        inherited_from=sheet.inherited_from,
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
    """The record of a connection in its current state: in setup, open, closed or failed; without its end unless over."""
    local, peer = _address(sheet.local), _address(sheet.peer or _refused_by(sheet))
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
        error_type=None if sheet.failure is None or not (sheet.error or sheet.eof) else sheet.failure.type,
        ca_time=sheet.ca_time,
        first_length=sheet.first_length,
        idle_left=sheet.idle_left if over else None,
        loop=sheet.loop,
        lost_time=sheet.lost_time,
        max_streams=sheet.max_streams,
        span=sheet.span,
    )


def _refused_by(sheet: facts.Connection) -> Any:
    """The address that was tried last, where connecting failed."""
    return sheet.tried[-1][0] if sheet.failed_phase == "connect" and sheet.tried else None


def _address(raw: Any) -> tuple[str | None, int | None]:
    """Address and port of what getsockname or getpeername said; a unix socket has a path only."""
    if isinstance(raw, tuple | list) and len(raw) >= 2:
        return str(raw[0]), int(raw[1])
    return (text(raw) or None) if isinstance(raw, bytes | str) else None, None


def _setup(sheet: facts.Connection) -> dict[str, records.Phase]:
    setup: dict[str, records.Phase] = {}
    for name, start, end in sheet.phases:
        before = setup.get(name)  # a retried setup runs a phase again: first start, summed durations
        first, so_far = (start, 0.0) if before is None else (before.start, before.duration)
        setup[name] = records.Phase(first, so_far + end - start, sheet.busy.get(name))
    began, ended = sheet.setup_started_at, sheet.opened_at
    if ended is None and sheet.failed_phase is not None:
        ended = sheet.closed_at
    if began is not None and ended is not None:
        busy = sum(sheet.busy.values()) if sheet.busy else None
        setup["total"] = records.Phase(began, ended - began, busy)
    return setup


def exchange(
    sheet: facts.Exchange,
    pid: int,
    keep_query: bool,
    state: facts.State | None = None,
    *,
    keep_path: bool = False,
) -> records.Exchange:
    """The record of an exchange that is over, or in the ``state`` it has reached."""
    origin, connection = format_origin(sheet.origin), sheet.connection
    record = records.Exchange(
        pid,
        sheet.id,
        None if connection is None else connection.id,
        sheet.client,
        sheet.pool,
        origin,
        text(sheet.method),
        format_url(origin, sheet.target, keep_query, keep_path),
    )
    # Not by name to the constructor, which looks for each name among all of them: that takes twice as long.
    record.request_number = sheet.request_number
    record.reused = sheet.reused
    record.joined = sheet.joined
    record.stream_id = sheet.stream_id
    record.idle_time = sheet.idle_time
    record.pool_wait = sheet.pool_wait
    record.waited_for = waited_for(sheet)
    record.failed_attempts = sheet.failed_attempts
    record.started_at = sheet.started_at
    record.sent_at = sheet.sent_at
    record.headers_at = sheet.headers_at
    record.finished_at = sheet.finished_at
    record.status = sheet.status
    record.error = sheet.error
    if sheet.error is not None and sheet.failure is not None:
        record.error_type, record.failed_setup = sheet.failure.type, sheet.failure.connection
    record.body_complete = sheet.body_complete
    record.previous = sheet.previous
    record.relation = sheet.relation
    record.thread = sheet.thread
    record.task = sheet.task
    record.call_site = call_site(sheet.call_site)
    record.in_flight = sheet.in_flight
    record.state = state
    record.loop = sheet.loop
    if sheet.holders is not None:
        record.holders = _holders(sheet.holders, keep_query, keep_path)
    record.route = sheet.route
    record.served = sheet.served
    record.served_call = sheet.served_call
    return record


def waited_for(sheet: facts.Exchange) -> facts.WaitKind | None:
    """What an exchange waited for, most of the time; None if it did not wait."""
    if not sheet.pool_wait:
        return None
    return "stream" if 2 * (sheet.stream_wait or 0.0) > sheet.pool_wait else "pool"


def _holders(
    holding: tuple[tuple[facts.Exchange, facts.HolderState], ...], keep_query: bool, keep_path: bool
) -> list[records.Holder]:
    """Groups of equal holders, the largest first."""
    alike: dict[tuple[Any, ...], list[facts.Exchange]] = {}
    for sheet, state in holding:
        origin = format_origin(sheet.origin)
        kind = origin, text(sheet.method), state, call_site(sheet.call_site), sheet.stream_id is not None
        alike.setdefault(kind, []).append(sheet)
    groups = sorted(alike.items(), key=lambda group: -len(group[1]))
    return [
        records.Holder(
            len(sheets),
            method,
            _url_of([format_url(origin, sheet.target, keep_query, keep_path) or origin for sheet in sheets]),
            state,
            min(sheet.started_at for sheet in sheets),
            site,
            stream,
        )
        for (origin, method, state, site, stream), sheets in groups[:HOLDERS]
    ]


def _url_of(urls: list[str]) -> str:
    """Their common URL, or the common beginning of their URLs."""
    first = urls[0]
    if all(url == first for url in urls):
        return first
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*urls, strict=False))
    common = "".join(letters[0] for letters in alike)
    return f"{common[: common.rfind('/') + 1]}…"
