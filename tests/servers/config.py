"""How a truth server is to behave; plain data, so it can be sent to another process as JSON."""

from __future__ import annotations

import json
import ssl
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["http1", "http2", "proxy", "socks"]


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One listening socket and how it treats its connections."""

    kind: Kind = "http1"
    certificate: str | None = None
    """PEM file with key and chain; turns TLS on."""
    uds: str | None = None
    """Listen on this unix socket instead of a loopback port."""
    close_after: int | None = None
    """Close each connection after this many answers, all of which promise keep-alive; HTTP/2: by GOAWAY."""
    idle_close: float | None = None
    """Close a connection that has brought no request for this many seconds."""
    streams: int | None = None
    """HTTP/2: how many streams a connection may have at once."""
    credentials: tuple[str, str] | None = None
    """User and password that a proxy requires."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> ServerConfig:
        plain = json.loads(line)
        if plain["credentials"] is not None:
            plain["credentials"] = tuple(plain["credentials"])
        return cls(**plain)

    def tls(self) -> ssl.SSLContext | None:
        """The server's side of TLS, or None for plain."""
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        context.set_alpn_protocols(["h2"] if self.kind == "http2" else ["http/1.1"])
        return context
