"""Joins our records with a server's log, and lists every disagreement.

Connections are joined by port (and by their order, where the kernel used a port twice), an exchange and the
server's request by their number on the connection. The path, which is unique per job, then shows whether the
number was right.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

from poolscope import records
from poolscope.ledger.closing import REASONS
from tests.servers import SeenConnection, SeenRequest, ServerLog

QUIET_CLOSES = {
    "client_close",
    "max_keepalive_surplus",
    "pool_full",
    "pool_closed",
    "evicted_max_connections",
}
"""The client's closes of connections that were in order."""
NOT_FOUND_OUT = {"server_closed_no_response", "reset"}
"""How a connection ends if the server had closed it before the request came."""
FOUND_BY_SSL = {"server_closed_mid_body", "server_closed_no_response"}
"""What a reset may look like over TLS: Python's ``ssl`` reports many of them as the end of the stream."""
RACE = "closed_under_request"
"""httpcore 1 in threads, with or without us: https://github.com/encode/httpcore/issues/1110."""

CAUSED: dict[str, set[str]] = {
    "close": {"connection_close_header"},
    "http10": {"http_1_0"},
    "reset": {"reset"},
    "cut": {"server_closed_mid_body"},
    "drop": {"server_closed_no_response"},
    "last": {"server_closed_idle", *QUIET_CLOSES},
    "silence": {"timeout"},
    "stall": {"timeout"},
}
"""Last path on a connection → the close reasons that its behaviour can cause."""


@dataclass
class Verdict:
    """What was compared, and the disagreements."""

    opens: int = 0
    exchanges: int = 0
    never_sent: int = 0
    """Exchanges that failed or were cancelled before they wrote anything."""
    unanswered: int = 0
    """Sent, but the server had closed the connection before."""
    reasons: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def check(self, right: bool, kind: str, *what: object) -> None:
        if not right:
            self.wrong.append(f"{kind}: {' · '.join(map(repr, what))}")

    def __str__(self) -> str:
        kinds = Counter(wrong.partition(":")[0] for wrong in self.wrong)
        head = (
            f"{self.opens} connections, {self.exchanges} exchanges, {self.never_sent} never sent, "
            f"{self.unanswered} unanswered; {dict(self.reasons)}; wrong: {dict(kinds)}"
        )
        return "\n".join([head, *self.wrong[:12]])


def have_arrived(connections: Iterable[records.Connection]) -> Callable[[ServerLog], bool]:
    """Whether the server has accepted all these connections and seen their ends: it may accept one after it was closed."""
    opened = Counter(each.local_port for each in connections if each.opened_at is not None)

    def arrived(log: ServerLog) -> bool:
        return log.open == 0 and opened <= Counter(seen.peer_port for seen in log.connections)

    return arrived


def path_of(exchange: records.Exchange) -> str:
    return urlsplit(exchange.url or "").path


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
    opened, failed = [], 0
    for connection in connections:
        if connection.opened_at is None:
            failed += 1
            verdict.check(connection.failed_phase is not None, "setup without end", connection)
            verdict.check(not of_connection[connection.id], "request on a failed setup", connection)
        else:
            opened.append(connection)
    for ours, theirs in pairs(verdict, opened, log, failed):
        mine = sorted(of_connection.pop(ours.id, []), key=lambda exchange: exchange.request_number or 0)
        _connection(verdict, ours, mine, theirs)
        for position, exchange in enumerate(mine):
            request = theirs.requests[position] if position < len(theirs.requests) else None
            _exchange(verdict, ours, exchange, request)
        for before, after in pairwise(mine):
            _succession(verdict, before, after, theirs)
    lost = [exchange for rest in of_connection.values() for exchange in rest]
    verdict.check(not lost, "exchange without connection", *lost[:3])
    return verdict


def never_sent(verdict: Verdict, exchange: records.Exchange) -> None:
    verdict.never_sent += 1
    verdict.check(exchange.status is None and exchange.error is not None, "number missing", exchange)
    verdict.check(exchange.reused is None, "reused without connection", exchange)


def pairs(
    verdict: Verdict, opened: list[records.Connection], log: ServerLog, failed: int
) -> list[tuple[records.Connection, SeenConnection]]:
    ours: defaultdict[int | None, list[records.Connection]] = defaultdict(list)
    theirs: defaultdict[int | None, list[SeenConnection]] = defaultdict(list)
    for connection in sorted(opened, key=lambda connection: connection.opened_at or 0.0):
        ours[connection.local_port].append(connection)
    for seen in log.connections:
        theirs[seen.peer_port].append(seen)
    pairs = []
    unseen = []
    for port in ours.keys() | theirs.keys():
        mine, yours = ours[port], theirs[port]
        if len(mine) < len(yours):
            # The kernel had connected, but the client gave up before it knew (its setup failed) and sent nothing.
            unseen += [seen for seen in yours if not seen.requests]
            yours = [seen for seen in yours if seen.requests]
        verdict.check(len(mine) == len(yours), "opens differ from accepts", port, len(mine), len(yours))
        pairs += list(zip(mine, yours, strict=False))
    verdict.check(len(unseen) <= failed, "accepts we did not see", len(unseen), failed)
    return pairs


def _connection(
    verdict: Verdict, ours: records.Connection, mine: list[records.Exchange], theirs: SeenConnection
) -> None:
    verdict.opens += 1
    numbers = [exchange.request_number for exchange in mine]
    verdict.check(numbers == list(range(1, len(mine) + 1)), "request numbers", numbers, ours)
    verdict.check(ours.requests == len(mine), "count of requests", ours.requests, len(mine))
    verdict.check(len(theirs.requests) <= len(mine), "request we did not see", ours, theirs)
    if ours.closed_at is None:
        verdict.check(False, "not closed", ours, mine[-1:])
        return
    verdict.check(ours.setup_started_at is None or ours.setup_started_at <= theirs.accepted_at, "setup", ours)
    reason = ours.close_reason or "none"
    verdict.reasons[reason] += 1
    verdict.check(reason in REASONS and reason != "unknown", "reason", ours, mine[-1:])
    if mine:
        expected = _reasons(mine[-1], reason, theirs, len(mine) > len(theirs.requests))
        if ours.tls_version is not None and "reset" in expected:
            expected |= FOUND_BY_SSL
        verdict.check(reason in expected, "reason", reason, sorted(expected), ours, mine[-1], theirs)


def _reasons(newest: records.Exchange, reason: str, theirs: SeenConnection, unanswered: bool) -> set[str]:
    path = path_of(newest)
    behaviour = path.split("/")[1]
    if newest.error is not None and "ancel" in newest.error:
        # The cancellation may come while the client closes a connection that the server had closed before.
        ended = theirs.ended or ""
        left = unanswered and ended.startswith("server")
        # Or httpcore leaves it open after a second cancellation; when its client closes, it finds what the server did.
        found_late = {"server_closed_idle"} if ended == "server: closed while idle" else set()
        return {"cancelled", *NOT_FOUND_OUT, *found_late} if left else {"cancelled"}
    if reason == RACE and (newest.error is not None or theirs.ended == "client" or "/last/" in path):
        return {RACE}
    if unanswered:
        # A client that has little patience may give up before the server, which reads no more, has really closed.
        return NOT_FOUND_OUT | (CAUSED.get(behaviour, set()) & {"timeout"})
    if path.startswith("/size/400000"):
        return {"response_not_read"}
    return CAUSED.get(behaviour, QUIET_CLOSES)


def _exchange(
    verdict: Verdict, ours: records.Connection, exchange: records.Exchange, request: SeenRequest | None
) -> None:
    verdict.exchanges += 1
    verdict.check(exchange.reused == ((exchange.request_number or 0) > 1), "reused", exchange)
    times = (exchange.started_at, exchange.sent_at, exchange.headers_at, exchange.finished_at)
    known = [moment for moment in times if moment is not None]
    verdict.check(known == sorted(known) and exchange.finished_at is not None, "order of times", exchange)
    verdict.check(exchange.pool_wait is None or exchange.pool_wait >= 0, "pool wait", exchange)
    verdict.check(
        ours.opened_at is not None and (exchange.sent_at is None or ours.opened_at <= exchange.sent_at),
        "sent before opened", ours, exchange,
    )  # fmt: skip
    if request is None:
        verdict.unanswered += 1
        verdict.check(exchange.status is None and exchange.error is not None, "answer from nowhere", exchange)
        return
    verdict.check(path_of(exchange) == request.path, "connection or number", exchange, request)
    verdict.check(
        (exchange.started_at or 0.0) <= request.arrived_at, "arrived before started", exchange, request
    )
    if exchange.status is not None:
        answered = request.answered_at is not None and (exchange.headers_at or 0.0) >= request.answered_at
        verdict.check(answered, "headers before the answer", exchange, request)


def _succession(
    verdict: Verdict, before: records.Exchange, after: records.Exchange, theirs: SeenConnection
) -> None:
    if after.sent_at is not None and before.finished_at is not None:
        verdict.check(before.finished_at <= after.sent_at, "overlap", before, after)
    verdict.check(after.idle_time is not None and after.idle_time >= 0, "idle time", before, after)
    if after.request_number is None or after.request_number > len(theirs.requests):
        return
    earlier, later = theirs.requests[after.request_number - 2 : after.request_number]
    if after.idle_time is not None and earlier.answered_at is not None:
        longest = later.arrived_at - earlier.answered_at
        verdict.check(after.idle_time <= longest, "idle time", after.idle_time, longest, after)
