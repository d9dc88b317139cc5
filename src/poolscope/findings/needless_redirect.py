"""PS113: requests that are redirected to another origin each time, over a connection that the right URL would save.

It fires for a line where at least `MIN_REDIRECTED` redirected requests opened a connection to the first origin only to
be sent on to the same path on the same second one. Another path, or other names in the query, may be an address that
only the answer could name.
"""

from __future__ import annotations

from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place, setup_time
from poolscope.records import Exchange, Finding, Severity

MIN_REDIRECTED: Final = 3


class _Redirected:
    __slots__ = ("cost", "count")

    def __init__(self) -> None:
        self.count = 0
        self.cost = 0.0


class NeedlessRedirect(Rule):
    """The rule. State: recent redirected requests, and two numbers per line and pair of origins."""

    code: ClassVar[str] = "PS113"
    title: ClassVar[str] = "redirects open connections"
    severity: ClassVar[Severity] = "info"
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "A redirect from http to https, or to a host with www, costs a connection for an answer that only names another "
        "address."
    )

    def __init__(self) -> None:
        self._redirected: Bounded[tuple[int, int], Exchange] = Bounded()
        self._seen: Bounded[tuple[Place, str], _Redirected] = Bounded()

    def exchange(self, record: Exchange) -> None:
        """Connect a request with the request that was redirected to it."""
        before = None
        if record.previous is not None:
            before = self._redirected.pop((record.pid, record.previous), None)
        if before is not None and record.relation == "redirect" and before.origin != record.origin:
            self._followed(before, record)
        if record.status is not None and 300 <= record.status < 400:
            self._redirected.put((record.pid, record.id), record)

    def _followed(self, before: Exchange, record: Exchange) -> None:
        if before.reused is not False or _target(before) != _target(record):
            return
        seen = self._seen.get_or_put((self.known.place_of(before), record.origin), _Redirected)
        seen.count += 1
        seen.cost += setup_time(self.known.connection(before.pid, before.connection))

    def findings(self) -> list[Finding]:
        """One per process, line and pair of origins."""
        return [
            self.finding(
                place,
                seen.count,
                f"{seen.count:,} requests opened a connection to {place.origin} and were redirected to {target}.",
                f"Send the request to {target} directly.",
                seen.cost,
            )
            for (place, target), seen in self._seen.items()
            if seen.count >= MIN_REDIRECTED
        ]


def _target(exchange: Exchange) -> tuple[str, list[str]]:
    """Its path, and the names in its query."""
    url = urlsplit(exchange.url or "")
    return url.path.rstrip("/"), sorted(name for name, _ in parse_qsl(url.query, keep_blank_values=True))
