"""What went wrong, in one closed vocabulary for every library.

A library says what its own exceptions mean, as a `Kind`; under them are the standard library's, which are the same for
all. The story knows when it happened, as a `Moment`. Both together are a `Failure`. An exception's text is never read:
it holds paths, queries and whatever a library likes to print.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from poolscope.facts import Connection, ErrorType, Exchange, Failure, PhaseName

Kind: TypeAlias = Literal[
    "timeout", "unresolved", "refused", "reset", "ended", "certificate", "tls", "protocol", "socket", "pool",
    "other", "cancelled",
]  # fmt: skip
"""What an exception means, wherever it was raised."""

Moment: TypeAlias = Literal[
    "dns", "connect", "proxy_tunnel", "tls_context", "tls", "waiting", "sending", "awaiting", "reading"
]
"""A phase of setup, or how far an exchange was."""


class Seen(NamedTuple):
    """What an exception means, with the system's name and words for it."""

    kind: Kind
    code: str | None = None
    said: str | None = None


class Meanings(NamedTuple):
    """What the exceptions of one library mean, by the names of their classes."""

    surely: Mapping[str, Kind]
    """True whatever caused them."""
    otherwise: Mapping[str, Kind]
    """True if their cause is not known."""
    wrappers: frozenset[str] = frozenset()
    """Exceptions raised while their cause is handled, without naming it."""


NONE_OF_ITS_OWN: Final = Meanings({}, {})

_CANCELLATIONS: Final = frozenset(
    (
        "asyncio.exceptions.CancelledError",
        "concurrent.futures._base.CancelledError",
        "gevent.timeout.Timeout",
        "greenlet.GreenletExit",
        "trio.Cancelled",
        "trio._core._exceptions.Cancelled",
        "GeneratorExit",
        "KeyboardInterrupt",
        "SystemExit",
    )
)
_CANCELLED_BY: Final = frozenset(name.rpartition(".")[2] for name in _CANCELLATIONS) - {"Timeout"}
_BY_ERRNO: Final[dict[int, Kind]] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.ETIMEDOUT: "timeout",
}
_BY_CLASS: Final[tuple[tuple[type[OSError], Kind], ...]] = (
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
    (ConnectionAbortedError, "reset"),
)
_DEPTH: Final = 12


def seen(error: BaseException, meanings: Meanings = NONE_OF_ITS_OWN) -> Seen:
    """What ``error`` means."""
    chain = list(_chain(error, meanings))
    if _name(chain[0]) in _CANCELLATIONS:
        return Seen("cancelled")
    for link in chain:
        kind = meanings.surely.get(type(link).__name__)
        known = _by_the_standard_library(link)
        if kind is not None:
            return Seen(kind) if known is None else known._replace(kind=kind)
        if known is not None:
            return known
    for link in chain:
        kind = meanings.otherwise.get(type(link).__name__)
        if kind is not None:
            return Seen(kind)
    return Seen("other")


def _chain(error: BaseException, meanings: Meanings) -> Iterator[BaseException]:
    """``error`` and its causes; of a group, its first member."""
    cause: Any = error
    for _ in range(_DEPTH):
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
            continue
        if not isinstance(cause, BaseException):
            return
        yield cause
        link = cause
        cause = link.__cause__ or _kept_by(link)
        if cause is None and type(link).__name__ in meanings.wrappers:
            cause = link.__context__


def _kept_by(error: BaseException) -> Any:
    """Where PySocks and httpcore keep the cause; httpcore removes Python's own."""
    cause = getattr(error, "socket_err", None)
    return error.args[0] if cause is None and error.args else cause


def by_name(name: str) -> Seen:
    """The meaning of an exception by its name alone."""
    return Seen("cancelled" if name.rpartition(".")[2] in _CANCELLED_BY else "other")


def _name(error: BaseException) -> str:
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _by_the_standard_library(error: BaseException) -> Seen | None:
    ssl: Any = sys.modules.get("ssl")
    if isinstance(error, socket.gaierror):
        return Seen("unresolved", *_of_getaddrinfo(error.errno))
    if isinstance(error, getattr(ssl, "SSLError", ())):  # not there while another thread imports it
        if isinstance(error, ssl.SSLCertVerificationError):
            return Seen("certificate", None, _words(getattr(error, "verify_message", None)))
        kind: Kind = "ended" if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) else "tls"
        return Seen(kind, None, _words(getattr(error, "reason", None)))
    if isinstance(error, TimeoutError):
        return Seen("timeout", *_of_errno(error.errno))
    if isinstance(error, UnicodeError):
        return Seen("unresolved")
    if isinstance(error, OSError):
        for cls, kind in _BY_CLASS:
            if isinstance(error, cls):
                return Seen(kind, *_of_errno(error.errno))
        number = error.errno
        if number is not None and number in errno.errorcode:
            return Seen(_BY_ERRNO.get(number, "socket"), *_of_errno(number))
    return None


def _of_errno(number: int | None) -> tuple[str | None, str | None]:
    if not isinstance(number, int) or number not in errno.errorcode:
        return None, None
    return errno.errorcode[number], os.strerror(number)


_GETADDRINFO: Final[dict[str, str]] = {
    "EAI_NONAME": "name not known",
    "EAI_NODATA": "name without an address",
    "EAI_AGAIN": "temporary failure in name resolution",
    "EAI_FAIL": "failure in name resolution that will remain",
    "EAI_ADDRFAMILY": "no address of this family",
    "EAI_FAMILY": "address family not supported",
    "EAI_MEMORY": "out of memory",
    "EAI_SYSTEM": "system error",
}


def _of_getaddrinfo(number: int | None) -> tuple[str | None, str | None]:
    for code, words in _GETADDRINFO.items():
        if number is not None and getattr(socket, code, None) == number:
            return code, words
    return None, None


def _words(raw: Any) -> str | None:
    """OpenSSL's own words, as words."""
    if not isinstance(raw, str) or not raw:
        return None
    return raw.lower().replace("_", " ") if raw.isupper() else raw


# When it happened

_IN_SETUP: Final[Mapping[Moment, tuple[Mapping[Kind, ErrorType], ErrorType]]] = {
    "dns": ({}, "dns_error"),
    "connect": ({"refused": "connection_refused"}, "connection_error"),
    "proxy_tunnel": ({}, "proxy_error"),
    "tls_context": ({}, "tls_error"),
    "tls": ({"certificate": "tls_certificate"}, "tls_error"),
}
_WITH_CONNECTION: Final[Mapping[Kind, ErrorType]] = {
    "reset": "reset",
    "ended": "response_ended",
    "protocol": "protocol_error",
    "tls": "tls_error",
    "timeout": "read_timeout",
}
_IN_EXCHANGE: Final[Mapping[Moment, Mapping[Kind, ErrorType]]] = {
    "waiting": {"timeout": "pool_timeout"},
    "sending": {**_WITH_CONNECTION, "timeout": "write_timeout"},
    "awaiting": _WITH_CONNECTION,
    "reading": {**_WITH_CONNECTION, "ended": "body_cut"},
}


def type_of(kind: Kind, moment: Moment) -> ErrorType | None:
    """The type of what went wrong; None for a cancellation. Whatever takes too long in setup is a connect timeout."""
    if kind == "cancelled":
        return None
    if kind == "pool":
        return "pool_timeout"
    phase = _IN_SETUP.get(moment)
    if phase is None:
        return _IN_EXCHANGE.get(moment, {}).get(kind, "_OTHER")
    special, usual = phase
    return "connect_timeout" if kind == "timeout" else special.get(kind, usual)


def of_setup(sheet: Connection, what: Seen) -> Failure | None:
    """Why the setup of ``sheet`` failed in the phase it was in."""
    return _in_phase(sheet.failed_phase or "connect", sheet, what)


def of_attempt(sheet: Connection, what: Seen) -> Failure | None:
    """Why one address did not answer."""
    return _in_phase("connect", sheet, what)


def _in_phase(phase: PhaseName, sheet: Connection, what: Seen) -> Failure | None:
    type_ = type_of(what.kind, phase)
    return None if type_ is None else Failure(type_, what.code, what.said, sheet.id, _proxy(phase, sheet))


def _proxy(phase: PhaseName, sheet: Connection) -> tuple[bytes | str, int | None] | None:
    """The proxy, if ``phase`` is between it and the program."""
    behind = phase == "proxy_tunnel" or any(name == "proxy_tunnel" for name, _, _ in sheet.phases)
    if sheet.via in (None, "direct", "uds") or behind:
        return None
    address = sheet.tried[-1][0] if sheet.tried else None
    host, port = address[:2] if isinstance(address, tuple) else (None, None)
    name = sheet.dns_name or host
    return None if name is None else (name, port)


def ends(exchange: Exchange, error: str, what: Seen | None) -> None:
    """Note why ``exchange`` failed, on its sheet and on that of a connection that it had for itself."""
    if what is not None or exchange.failure is None:
        exchange.failure = of_exchange(exchange, what or by_name(error))
    sheet = exchange.connection
    if sheet is not None and sheet.http_version != "2":
        sheet.failure = exchange.failure


def of_exchange(exchange: Exchange, what: Seen) -> Failure | None:
    """Why ``exchange`` failed."""
    setup = exchange.failure
    if setup is not None and setup.connection is not None and exchange.connection is None:
        return setup  # that of its connection's setup
    kind, sheet = what.kind, exchange.connection
    if kind == "protocol" and sheet is not None and sheet.eof:
        kind = "ended"  # what came was cut off, and so was not valid
    if kind in ("ended", "protocol") and sheet is not None and sheet.error == "ConnectionResetError":
        kind = "reset"  # the socket's error from before; not every library passes it on
    type_ = type_of(kind, _moment(exchange))
    return None if type_ is None else Failure(type_, what.code, what.said)


def _moment(exchange: Exchange) -> Moment:
    if exchange.headers_at is not None:
        return "reading"
    if exchange.sent_at is not None:
        return "awaiting"
    if exchange.connection is not None:
        return "sending"
    return "waiting" if exchange.assigned_at is None else "connect"
