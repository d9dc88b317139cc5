"""PS116: a name has addresses that fail before one answers, and every new connection tries those first.

It fires for an origin where at least `MIN_CONNECTIONS` connections tried an address in vain, and lost `MIN_LOST`
seconds together, half of it without the slowest of them: one pause of the machine is no dead address. What the
program's own event loop was busy meanwhile is not lost on an address.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Connection, Finding, Severity

MIN_CONNECTIONS: Final = 2
MIN_LOST: Final = 0.1


_ONLY_IPV4: Final = {
    "requests": "urllib3.util.connection.HAS_IPV6 = False",
    "urllib3": "urllib3.util.connection.HAS_IPV6 = False",
    "httpx": 'transport=httpx.HTTPTransport(local_address="0.0.0.0")',
    "httpx2": 'transport=httpx2.HTTPTransport(local_address="0.0.0.0")',
    "aiohttp": "connector=aiohttp.TCPConnector(family=socket.AF_INET)",
}


def _without_ipv6(kind: str | None) -> str:
    library, _, name = (kind or "").partition(".")
    option = _ONLY_IPV4.get(library)
    if option is None:
        return ""
    option = option.replace(".HTTP", ".AsyncHTTP") if name == "AsyncClient" else option
    return f" If only IPv6 fails, {option} leaves it out."


class _Lost:
    __slots__ = ("connections", "peer", "place", "seconds", "slowest", "tried")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.connections = self.tried = 0
        self.seconds = self.slowest = 0.0
        self.peer = ""


class DeadAddresses(Rule):
    """The rule. State: a few numbers per origin."""

    code: ClassVar[str] = "PS116"
    title: ClassVar[str] = "addresses that fail before one answers"
    severity: ClassVar[Severity] = "info"
    explanation: ClassVar[str] = (
        "A name may have several addresses, often IPv6 first. requests, urllib3 and httpx.Client wait for each until it "
        "refuses or times out. aiohttp and httpx.AsyncClient try the next one after a quarter of a second."
    )

    def __init__(self) -> None:
        self._origins: Bounded[tuple[int, str], _Lost] = Bounded()

    def connection(self, record: Connection) -> None:
        """Count a connection that was opened after other addresses had failed."""
        if record.opened_at is None or not record.lost_time or not self.known.is_first:
            return
        connect = record.setup.get("connect")
        # Without a loop, busy is how long the answer of the last address lay unread, which is no lost time.
        busy = 0.0 if connect is None or record.loop is None else connect.busy or 0.0
        lost = self._origins.get_or_put(
            (record.pid, record.origin), lambda: _Lost(self.known.place_of(record))
        )
        lost.connections += 1
        lost.tried += (record.attempts or 1) - 1
        seconds = max(0.0, record.lost_time - busy)
        lost.seconds += seconds
        lost.slowest = max(lost.slowest, seconds)
        lost.peer = record.peer_address or ""

    def findings(self) -> list[Finding]:
        """One per process and origin."""
        return [
            self._finding(lost)
            for lost in self._origins.values()
            if lost.connections >= MIN_CONNECTIONS
            and lost.seconds >= MIN_LOST
            and lost.seconds - lost.slowest >= MIN_LOST / 2
        ]

    def _finding(self, lost: _Lost) -> Finding:
        answered = f", then {lost.peer} answered" if lost.peer else ""
        return self.finding(
            lost.place,
            lost.connections,
            f"{lost.connections:,} connections to {lost.place.origin} tried {lost.tried:,} addresses in vain"
            f"{answered}.",
            "Take the addresses that do not answer out of DNS, or repair them (route, firewall, host)."
            + _without_ipv6(lost.place.kind),
            lost.seconds,
            "addresses",
        )
