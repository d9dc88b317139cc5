"""urllib3: what an exception means for the exchange and for the socket."""

from __future__ import annotations

from typing import Final

from poolscope.facts import Connection
from poolscope.story import failures
from poolscope.story.failures import Meanings, Seen

_WRAPPERS: Final = frozenset(
    (
        "ConnectTimeoutError",
        "NameResolutionError",
        "NewConnectionError",
        "ProtocolError",
        "ProxyError",
        "ReadTimeoutError",
        "SSLError",
    )
)
MEANINGS: Final = Meanings(
    surely={
        "EmptyPoolError": "pool",
        "ConnectTimeoutError": "timeout",
        "ReadTimeoutError": "timeout",
        "RemoteDisconnected": "ended",
        "IncompleteRead": "ended",
        "InvalidChunkLength": "protocol",
        "BadStatusLine": "protocol",
        "UnknownProtocol": "protocol",
        "LineTooLong": "protocol",
        "InvalidHeader": "protocol",
        "CertificateError": "certificate",
        "LocationParseError": "unresolved",
    },
    otherwise={
        "SSLError": "tls",
        "ProtocolError": "protocol",
        "HTTPException": "protocol",
        "NewConnectionError": "socket",
    },
    wrappers=_WRAPPERS,
)
_MADE_BY_EOF: Final = frozenset(("IncompleteRead", "RemoteDisconnected"))


def on_the_wire(error: BaseException) -> BaseException:
    """The socket's error, inside the exception in which urllib3 wrapped it."""
    while type(error).__name__ in _WRAPPERS and type(error).__module__.startswith("urllib3"):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    # PySocks keeps its cause in an attribute of its own.
    cause = getattr(error, "socket_err", None)
    return cause if isinstance(cause, BaseException) else error


def seen(error: BaseException) -> Seen:
    """What ``error`` means."""
    what = failures.seen(error, MEANINGS)
    if what.kind == "ended" and _read_a_false_chunk_size(on_the_wire(error)):
        return Seen("protocol")
    return what


def name_on_the_wire(error: BaseException) -> str:
    """The class name of what happened on the socket."""
    cause = on_the_wire(error)
    name = type(cause).__name__
    return "InvalidChunkLength" if name == "IncompleteRead" and _read_a_false_chunk_size(cause) else name


def has_ended(error: BaseException) -> bool:
    """Whether the stream ended where more was expected."""
    return name_on_the_wire(error) in _MADE_BY_EOF


def note_error(sheet: Connection, error: BaseException) -> None:
    """Note what went wrong on a connection's socket."""
    sheet.error = name_on_the_wire(error)
    if sheet.error in _MADE_BY_EOF:
        sheet.eof = True


def _read_a_false_chunk_size(error: BaseException | None) -> bool:
    """Whether http.client's IncompleteRead means a chunk with an invalid size, not the end of the stream."""
    while error is not None and not isinstance(error, ValueError):
        error = error.__cause__ or error.__context__
    traceback = None if error is None else error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    # http.client makes the same exception of both; only the unreadable line distinguishes them.
    return traceback is not None and bool(traceback.tb_frame.f_locals.get("line"))
