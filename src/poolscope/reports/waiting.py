"""What the text report says of a row's waiting: for a connection or a stream, or for the program itself."""

from __future__ import annotations

from poolscope.reports.lanes import Segment
from poolscope.reports.tally import Row, Tally
from poolscope.reports.words import count, plain, seconds


def busy(tally: Tally) -> list[Segment]:
    """How long the program itself kept slow setup waiting."""
    parts = [
        f"{seconds(late)} of {seconds(took)} in {plain(phase)}" for phase, late, took in tally.busy_phases()
    ]
    return [("", "this program itself: "), ("setup", " · ".join(parts))] if parts else []


def waiting(row: Row, tally: Tally) -> list[Segment]:
    """How many requests waited, how long, and for what."""
    if not row.waited:
        return []
    limit = row.limits.max_connections if row.limits else None
    # If there were never that many connections, they did not wait because of the limit.
    reached = limit and tally.connections + tally.inherited + tally.failed >= limit
    for_pool = row.waited > row.waited_for_stream
    allowed = f"; the pool allows {count(limit, 'connection')}" if limit and reached and for_pool else ""
    longest = f", at most {seconds(row.slowest_wait)} each" if row.waited > 1 else ""
    lost = f"; {row.lost:,} × the assigned one was taken already" if row.lost else ""
    return [
        ("failed", f"{count(row.waited, 'request')} for {what(row.waited, row.waited_for_stream)}{longest}"),
        ("", allowed + lost),
    ]


def what(waited: int, for_stream: int) -> str:
    """What so many requests waited for."""
    if not for_stream:
        return "a connection"
    if for_stream == waited:
        return "a stream of an HTTP/2 connection"
    return f"a connection or, {for_stream:,} of them, for a stream on it"
