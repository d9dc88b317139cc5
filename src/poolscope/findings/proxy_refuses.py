"""PS112: a forwarding proxy will not keep connections, so every request through it pays for a new one.

It fires like PS106, and with its thresholds, for connections to a proxy that forwards plain http: who ends those is the
proxy, whatever the server would do. Through a tunnel poolscope cannot tell the two apart, so that is PS106.
"""

from __future__ import annotations

from typing import ClassVar

from poolscope.findings.refused_keepalive import RefusedKeepAlive
from poolscope.records import Connection, Severity


class ProxyRefusesKeepAlive(RefusedKeepAlive):
    """The rule. State: a few numbers per origin."""

    code: ClassVar[str] = "PS112"
    title: ClassVar[str] = "proxy prevents reuse"
    severity: ClassVar[Severity] = "info"
    explanation: ClassVar[str] = (
        "Connection: close is a matter between two neighbours. Through a forwarding proxy, the neighbour is the proxy: if "
        "it ends each connection after one answer, no setting of the server can change that."
    )
    other_side: ClassVar[str] = "The proxy at {peer}"
    fix: ClassVar[str] = (
        "Let the proxy keep its clients' connections alive (Squid: client_persistent_connections on), or send the requests "
        "past it (NO_PROXY)."
    )

    def concerns(self, record: Connection) -> bool:
        """Whether a forwarding proxy is at the other end."""
        return record.via == "forward"
