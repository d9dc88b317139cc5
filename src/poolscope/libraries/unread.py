"""What Linux knows of a TCP socket: when it last received and sent data, and which side has ended it.

The first shows how long an answer was there before this thread looked; the rest of a phase may be the network's, the
server's or the thread's own.
"""

from __future__ import annotations

import socket
import sys
from struct import Struct
from typing import Any, Final

from poolscope.facts import CloseTrigger, Connection

TCP_INFO: Final[int | None] = (
    getattr(socket, "TCP_INFO", None) if sys.platform in ("linux", "android") else None
)
"""Other systems have it with other fields."""
_AGES: Final = Struct("=44xIxxxxI")
"""Of Linux's ``tcp_info``: milliseconds since data was last sent, and last received; a SYN-ACK counts as received."""
TICK: Final = 0.01
"""Seconds by which Linux may overstate an age: the slowest of its clocks ticks so often."""
_NOT_ENDED_THERE: Final = frozenset((1, 4, 5))
"""ESTABLISHED, FIN_WAIT1, FIN_WAIT2: the other side has sent neither FIN nor RST."""


def since_answer(sock: Any) -> float | None:
    """Seconds, at least, since the last answer on ``sock`` arrived; None if that cannot be seen."""
    ages = _ages(sock)
    return None if ages is None else ages[1]


def since_handshake(sock: Any, version: str | None) -> float | None:
    """Seconds, at least, since a TLS handshake on ``sock`` needed nothing more from the server."""
    ages = _ages(sock)
    if ages is None:
        return None
    # In TLS 1.3 the client has the last word, and tickets that the server sends after it are no part of the handshake.
    return max(ages) if version == "TLSv1.3" else ages[1]


def who_ended(sheet: Connection, stream: Any, otherwise: CloseTrigger) -> CloseTrigger:
    """``program`` if the socket shows that the other side has not ended it, else ``otherwise``; over TLS it cannot show that."""
    if sheet.tls_version is not None or sheet.origin[0] not in ("http", b"http"):
        return otherwise
    info = _info(stream.get_extra_info("socket"))
    return "program" if info is not None and info[0] in _NOT_ENDED_THERE else otherwise


def _ages(sock: Any) -> tuple[float, float] | None:
    info = _info(sock)
    if info is None:
        return None
    sent, received = _AGES.unpack(info)
    return max(0.0, sent / 1000 - TICK), max(0.0, received / 1000 - TICK)


def _info(sock: Any) -> bytes | None:
    ask = getattr(sock, "getsockopt", None)
    if TCP_INFO is None or ask is None:
        return None
    try:
        answer = ask(socket.IPPROTO_TCP, TCP_INFO, _AGES.size)
    except (OSError, TypeError):  # not TCP, or not a real socket
        return None
    if type(answer) is not bytes or len(answer) != _AGES.size:  # a test's own object has any
        return None
    return answer
