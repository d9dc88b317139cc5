"""PS106: the server will not keep connections, so every request pays for a new one.

It fires for an origin where at least `MIN_REFUSED` connections were ended by the server after their first answer, and
they are at least `SHARE` of the closed ones that it could have ended.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, idle_at_close, setup_time
from poolscope.findings.lives import closed_at_once
from poolscope.records import Connection, Finding

MIN_REFUSED: Final = 5
SHARE: Final = 0.8
SETTLED: Final = 0.05
"""Seconds that a connection must have stayed open after its only answer to count as kept."""

_WORDS: Final = {
    "connection_close_header": "answered with Connection: close",
    "http_1_0": "answered in HTTP/1.0, without keep-alive",
    "server_closed_idle": "closed the connection within {idle:.1g} s of its first answer, without saying so",
}


class _Seen:
    __slots__ = ("cost", "idle", "kept", "peer", "place", "refused", "ways")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.kept = self.refused = 0
        self.cost = self.idle = 0.0
        self.ways: dict[str, int] = {}
        self.peer = ""


class RefusedKeepAlive(Rule):
    """The rule. State: a few numbers per origin."""

    code: ClassVar[str] = "PS106"
    title: ClassVar[str] = "server refuses keep-alive"
    explanation: ClassVar[str] = (
        "The server, or a proxy in front of it, ends each connection after one answer. No client can reuse a connection "
        "that the other side closes: the change must be made there."
    )
    other_side: ClassVar[str] = "{origin}"
    """Who refuses, in a sentence that may name the ``origin`` and the ``peer``."""
    fix: ClassVar[str] = (
        "Let the server, or the proxy in front of it, keep connections alive (nginx: keepalive_timeout, and towards its "
        "upstream keepalive and proxy_http_version 1.1). Nothing can be changed on this side."
    )

    def concerns(self, record: Connection) -> bool:
        """Whether the server itself is at the other end: a forwarding proxy is PS112's."""
        return record.via != "forward"

    def __init__(self) -> None:
        self._origins: Bounded[tuple[int, str], _Seen] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count it, once it is closed."""
        if record.closed_at is None or record.opened_at is None or not record.requests:
            return
        if not self.concerns(record):
            return
        seen = self._origins.get_or_put(
            (record.pid, record.origin), lambda: _Seen(self.known.place_of(record))
        )
        way = _refusal(record)
        if way is None:
            seen.kept += _was_kept(record)
        else:
            seen.refused += 1
            seen.peer = f"{record.peer_address}:{record.peer_port}"
            seen.idle = max(seen.idle, idle_at_close(record) or 0.0)
            seen.cost += setup_time(record) + (record.close_time or 0.0)
            seen.ways[way] = seen.ways.get(way, 0) + 1

    def findings(self) -> list[Finding]:
        """One per process and origin."""
        return [self._finding(seen) for seen in self._origins.values() if _fires(seen)]

    def _finding(self, seen: _Seen) -> Finding:
        way = max(seen.ways, key=lambda each: seen.ways[each])
        all_of = seen.refused + seen.kept
        return self.finding(
            seen.place,
            seen.refused,
            f"{self.other_side.format(origin=seen.place.origin, peer=seen.peer)} {_WORDS[way].format(idle=seen.idle)}: {seen.refused:,} of {all_of:,} connections served one request.",
            self.fix,
            seen.cost,
        )


def _refusal(record: Connection) -> str | None:
    if record.requests != 1 or record.closed_by != "server":
        return None
    if record.close_reason in ("connection_close_header", "http_1_0"):
        return record.close_reason
    return record.close_reason if closed_at_once(record) else None


def _was_kept(record: Connection) -> bool:
    """Whether the server did not end it after an answer, although it had the time."""
    return record.requests > 1 or (idle_at_close(record) or 0.0) > SETTLED


def _fires(seen: _Seen) -> bool:
    return seen.refused >= MIN_REFUSED and seen.refused >= SHARE * (seen.refused + seen.kept)
