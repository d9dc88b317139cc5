"""The names and texts of failures on spans, metrics, events and in the conventions' record of an exception. All of
them consist of structured parts. An exception's own text is never used: it holds paths and queries.
"""

from __future__ import annotations

from typing import Final

from poolscope.facts import Connection, ErrorType, Failure, RawOrigin
from poolscope.ledger.urls import text
from poolscope.signals.redaction import server

WORDS: Final[dict[ErrorType, str]] = {
    "dns_error": "name not resolved",
    "connection_refused": "connection refused",
    "connect_timeout": "setting up the connection took too long",
    "connection_error": "no connection",
    "tls_certificate": "certificate not accepted",
    "tls_error": "TLS handshake failed",
    "proxy_error": "the proxy made no connection",
    "pool_timeout": "no connection free in the pool in time",
    "write_timeout": "sending took too long",
    "read_timeout": "nothing came in time",
    "response_ended": "the connection ended without an answer",
    "reset": "connection reset",
    "protocol_error": "not valid HTTP",
    "body_cut": "the body was cut off",
    "_OTHER": "failed",
}

_LOOKUP_ERRORS: Final[dict[str | None, str]] = {
    "EAI_NONAME": "host_not_found",
    "EAI_NODATA": "host_not_found",
    "EAI_AGAIN": "try_again",
    "EAI_FAIL": "no_recovery",
    "EAI_ADDRFAMILY": "address_family_not_supported",
    "EAI_FAMILY": "address_family_not_supported",
}
"""getaddrinfo's codes, in the words that the conventions give as examples."""


def of_lookup(failure: Failure) -> str:
    """The ``error.type`` of a failed DNS lookup."""
    return _LOOKUP_ERRORS.get(failure.code, failure.type)


def of_setup(connection: Connection) -> Failure | None:
    """Why the setup of ``connection`` failed; None if it did not, or was cancelled."""
    return None if connection.failed_phase is None else connection.failure


def sentence(failure: Failure, origin: RawOrigin, phase: str | None = None) -> str:
    """What happened, and where."""
    words = WORDS[failure.type]
    if failure.said is not None and failure.said.lower() != words:
        words = f"{words}: {failure.said}"
    code = "" if failure.code is None else f" [{failure.code}]"
    during = "" if phase is None else f", in {phase}"
    return f"{words}{code} ({_where(failure, origin)}{during})"


def _where(failure: Failure, origin: RawOrigin) -> str:
    if failure.proxy is None:
        return place(*server(origin))
    host, port = failure.proxy
    return f"proxy {place(text(host) or '', port)}"


def place(host: str, port: int | None) -> str:
    """Host and port as in a URL: an IPv6 address in brackets."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"
