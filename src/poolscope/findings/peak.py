"""How many connections the client should keep that replaces the clients of several lines."""

from __future__ import annotations

from collections.abc import Iterable

from poolscope.findings.churn import Churn, took_turns
from poolscope.findings.habits import Habit
from poolscope.records import CallSite


class Peak:
    """The requests in flight at once from one line, and when it sent any."""

    __slots__ = ("first", "last", "requests")

    def __init__(self) -> None:
        self.first, self.last = float("inf"), float("-inf")
        self.requests = 1

    def __repr__(self) -> str:
        return f"<Peak of {self.requests}>"

    def add(self, churn: Churn) -> None:
        """Clients with other settings, or in another loop: requests in flight are counted for all of a line."""
        self.requests = max(self.requests, churn.peak or 1)
        self.first, self.last = min(self.first, churn.busy.first), max(self.last, churn.busy.last)


def peak_of(found: Iterable[tuple[Habit, Churn]]) -> int:
    """The requests that may be in flight at once: at most the sum of lines that were busy in the same period.

    Lines that took turns, with one request at a time, need only one connection.
    """
    found = list(found)
    lines: dict[tuple[CallSite | None, CallSite | None], Peak] = {}
    for habit, churn in found:
        lines.setdefault((habit.call_site, habit.sdk_call_site), Peak()).add(churn)
    each = lines.values()
    if all(peak.requests == 1 for peak in each) and took_turns([churn for _, churn in found]):
        return 1
    return max(sum(peak.requests for peak in each if peak.first <= at.first <= peak.last) for at in each)
