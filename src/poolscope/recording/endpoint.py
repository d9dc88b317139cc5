"""The collector's address, as ``--otlp`` takes it, and the protocol to use."""

from __future__ import annotations

import os
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from poolscope.ledger.urls import shown_url
from poolscope.recording.errors import UsageError

_PORTS: Final = {4317: "grpc", 4318: "http/protobuf"}


class Endpoint(NamedTuple):
    """The address of a collector."""

    url: str
    """Scheme, host, port and path, without a slash at the end."""
    protocol: str
    """The usual protocol of its port or path, ``grpc`` or ``http/protobuf``; the environment may override it."""

    def protocol_of(self, signal: str) -> str:
        """The protocol for ``signal`` (traces, metrics, logs); UsageError for an unsupported one."""
        for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
            asked = os.environ.get(variable, "").strip()
            if asked:
                if asked not in _PORTS.values():
                    raise UsageError(f"{variable}={asked!r}: --otlp speaks grpc and http/protobuf")
                return asked
        return self.protocol


def parse_endpoint(value: str) -> Endpoint:
    """The collector's address: ``[http[s]://]HOST[:PORT][/PATH]``; UsageError if it is invalid.

    Without a scheme it is plain text, unless ``OTEL_EXPORTER_OTLP_INSECURE`` is ``false``. Port 4317 is gRPC;
    4318, any other port behind a scheme, and a path are HTTP; a bare HOST:PORT is gRPC.
    """
    text, scheme = value.strip(), ""
    if "://" not in text:
        secure = os.environ.get("OTEL_EXPORTER_OTLP_INSECURE", "").strip().lower() == "false"
        text, scheme = f"http{'s' if secure else ''}://{text}", "none"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if "@" in text:  # in the netloc, unless a password has a slash in it
        raise UsageError("--otlp: credentials belong in OTEL_EXPORTER_OTLP_HEADERS, not in the endpoint")
    clean = host and not any(letter.isspace() for letter in text) and not parts.query and not parts.fragment
    if not clean or port == 0 or parts.scheme not in ("http", "https"):
        raise UsageError(
            f"--otlp wants an endpoint such as http://localhost:4318 or localhost:4317, not {shown_url(value)!r}"
        )
    path = parts.path.rstrip("/")
    guess = "http/protobuf" if path or not scheme else "grpc"
    protocol = guess if path or port is None else _PORTS.get(port, guess)
    default = 4317 if protocol == "grpc" else 4318
    netloc = parts.netloc if port is not None or not scheme else f"{parts.netloc}:{default}"
    return Endpoint(f"{parts.scheme}://{netloc}{path}", protocol)
