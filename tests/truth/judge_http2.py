"""As `judge`, for HTTP/2: many exchanges on a connection at once, distinguished by their streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from poolscope import records
from tests.servers import SeenConnection, SeenRequest, ServerLog
from tests.truth.judge import Verdict, never_sent, pairs, path_of

ENDINGS = {"client_close", "max_keepalive_surplus", "evicted_max_connections", "http2_goaway"}


def judge(
    connections: Iterable[records.Connection], exchanges: Iterable[records.Exchange], log: ServerLog
) -> Verdict:
    """Compare everything; `Verdict.wrong` is empty if all of it agrees."""
    verdict = Verdict()
    of_connection: defaultdict[int | None, list[records.Exchange]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.request_number is None:
            never_sent(verdict, exchange)
        else:
            of_connection[exchange.connection].append(exchange)
    opened = [connection for connection in connections if connection.opened_at is not None]
    for ours, theirs in pairs(verdict, opened, log, len(list(connections)) - len(opened)):
        mine = sorted(of_connection.pop(ours.id, []), key=lambda exchange: exchange.stream_id or 0)
        _connection(verdict, ours, mine, theirs)
    verdict.check(not of_connection, "exchange without connection", *of_connection)
    return verdict


def _connection(
    verdict: Verdict, ours: records.Connection, mine: list[records.Exchange], theirs: SeenConnection
) -> None:
    verdict.opens += 1
    verdict.reasons[ours.close_reason or "none"] += 1
    verdict.check(ours.close_reason in ENDINGS, "reason", ours)
    gone = theirs.ended == "server: goaway"
    verdict.check(ours.close_reason != "http2_goaway" or gone, "reason", ours, theirs)
    verdict.check(ours.requests == len(mine), "count of requests", ours.requests, len(mine))
    streams = [exchange.stream_id or 0 for exchange in mine]
    verdict.check(len(set(streams)) == len(streams), "stream used twice", streams, ours)
    # A request refused by GOAWAY is repeated on another connection.
    verdict.check(gone or streams == list(range(1, 2 * len(mine), 2)), "streams", streams, ours)
    arrived = {request.stream_id: request for request in theirs.requests}
    refused = arrived.keys() - set(streams)
    verdict.check(gone or not refused, "request we did not see", refused)
    verdict.check(not any(arrived[stream].answered_at for stream in refused), "answer we did not see", ours)
    if arrived.keys() == set(streams):
        numbers = [arrived[stream].number for stream in streams if stream in arrived]
        verdict.check([exchange.request_number for exchange in mine] == numbers, "numbers", mine, theirs)
    before: float = 0.0
    for exchange in mine:
        _exchange(verdict, ours, exchange, arrived.get(exchange.stream_id))
        if exchange.idle_time is not None:
            verdict.check(before <= _got_it(exchange)[1], "idle with others in flight", exchange, before)
        before = max(before, exchange.finished_at or 0.0)


def _got_it(exchange: records.Exchange) -> tuple[float, float]:
    """Between which times it got its connection: it may have waited for one, and then for a stream on it."""
    asked, wait = exchange.started_at or 0.0, exchange.pool_wait or 0.0
    if exchange.waited_for == "stream":  # most of the time
        return asked, asked + wait / 2
    return asked + wait / 2, asked + wait


def _exchange(
    verdict: Verdict, ours: records.Connection, exchange: records.Exchange, request: SeenRequest | None
) -> None:
    verdict.exchanges += 1
    number = ((exchange.stream_id or 0) + 1) // 2
    verdict.check(exchange.request_number == number, "number is not its stream's", exchange)
    times = (exchange.started_at, exchange.sent_at, exchange.headers_at, exchange.finished_at)
    known = [moment for moment in times if moment is not None]
    verdict.check(known == sorted(known) and exchange.finished_at is not None, "order of times", exchange)
    opened_it = ours.opened_by == exchange.id
    in_setup = {moment < (ours.opened_at or 0.0) for moment in _got_it(exchange)}
    verdict.check(
        exchange.joined in {during and not opened_it for during in in_setup}, "joined", exchange, ours
    )
    verdict.check(exchange.reused in {not during for during in in_setup}, "reused", exchange, ours)
    verdict.check(
        [exchange.joined, exchange.reused, opened_it].count(True) == 1, "got it in one way", exchange, ours
    )
    if request is None:
        verdict.unanswered += 1
        verdict.check(exchange.status is None and exchange.error is not None, "answer from nowhere", exchange)
        return
    verdict.check(path_of(exchange) == request.path, "connection or stream", exchange, request)
    verdict.check(
        (exchange.started_at or 0.0) <= request.arrived_at, "arrived before started", exchange, request
    )
    if exchange.status is not None:
        answered = request.answered_at is not None and (exchange.headers_at or 0.0) >= request.answered_at
        verdict.check(answered, "headers before the answer", exchange, request)
