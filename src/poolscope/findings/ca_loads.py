"""PS115: CA certificates are read and parsed again and again, for every client or for every connection.

It fires for a line if its clients and their connections loaded them at least `MIN_LOADS` times, each time for at
least `MIN_LOAD` seconds: quicker loads are of bundles with few certificates.
"""

from __future__ import annotations

from typing import ClassVar, Final

from poolscope.findings.base import Rule
from poolscope.findings.known import Bounded, Place
from poolscope.records import Client, Connection, Finding

MIN_LOADS: Final = 20
MIN_LOAD: Final = 0.001

_FIXES: Final = {
    "requests": (
        "Build one ssl.SSLContext, and mount an HTTPAdapter of your own: its init_poolmanager passes ssl_context=context "
        "on, and its cert_verify sets conn.ca_certs = conn.ca_cert_dir = None, or requests loads the certificates into "
        "the context again for every connection."
    ),
    "urllib3": "Build one ssl.SSLContext and pass it to every pool: ssl_context=context.",
}


class _Loads:
    __slots__ = ("clients", "connections", "cost")

    def __init__(self) -> None:
        self.clients = self.connections = 0
        self.cost = 0.0

    @property
    def count(self) -> int:
        return self.clients + self.connections


class CaLoads(Rule):
    """The rule. State: a few numbers per line."""

    code: ClassVar[str] = "PS115"
    title: ClassVar[str] = "CA certificates loaded again and again"
    adds_up: ClassVar[bool] = True
    explanation: ClassVar[str] = (
        "Parsing the usual bundle of CA certificates takes 10 to 30 ms of CPU, which is often more than the TLS "
        "handshake itself. One SSLContext can serve all clients and connections."
    )

    def __init__(self) -> None:
        self._loads: Bounded[Place, _Loads] = Bounded()

    def client(self, record: Client) -> None:
        """Count the loads for it, once it is built."""
        if record.close_kind is None and record.ca_time is not None and record.ca_time >= MIN_LOAD:
            place = Place.of_client(record)
            loads = self._loads.get_or_put(place, _Loads)
            loads.clients += 1
            loads.cost += record.ca_time

    def connection(self, record: Connection) -> None:
        """Count the loads of its setup, once that is over."""
        if record.ca_time is None or record.ca_time < MIN_LOAD or not self.known.is_first:
            return
        place = self.known.place_of(record)._replace(origin="")
        loads = self._loads.get_or_put(place, _Loads)
        loads.connections += 1
        loads.cost += record.ca_time

    def findings(self) -> list[Finding]:
        """One per process and line."""
        return [
            self._finding(place, loads) for place, loads in self._loads.items() if loads.count >= MIN_LOADS
        ]

    def _finding(self, place: Place, loads: _Loads) -> Finding:
        library = (place.kind or "").partition(".")[0]
        for_each = "connections" if loads.connections > loads.clients else "clients"
        return self.finding(
            place,
            loads.count,
            f"CA certificates were loaded {loads.count:,} times, for {for_each} of one line ({place.kind}), "
            f"{loads.cost / loads.count * 1000:.0f} ms each.",
            _FIXES.get(
                library,
                "Build one ssl.SSLContext and pass it to all of them: verify=context. It is safe to share.",
            ),
            loads.cost,
            "ca_certificates",
        )
