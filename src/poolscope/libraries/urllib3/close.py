"""urllib3: who closed a connection.

The function that called ``close()`` shows the reason, at no cost per request and even inside garbage collection,
where ``sys.exc_info()`` may belong to other code. Nothing here calls out: closes run in finalizers.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Final

from poolscope.facts import CloseTrigger, Connection, now
from poolscope.genuine import poll
from poolscope.libraries import callsite
from poolscope.libraries.errors import class_name
from poolscope.libraries.urllib3.errors import note_error, seen
from poolscope.libraries.urllib3.state import State, close_begins, state_of
from poolscope.story import exchange as exchanges
from poolscope.story.connection import ConnectionMark
from poolscope.story.failures import Seen

READABLE: Final = 1
"""``select.POLLIN``."""

Closing = tuple[ConnectionMark, Connection, float]


def closing(connection: Any, frame: FrameType) -> Closing | None:
    """A connection's close begins; who called it?"""
    state = state_of(connection)
    if state is None or state.mark.sheet is None or state.mark.setup is not None:
        return None
    mark, sheet = state.mark, state.mark.sheet
    at = now()
    caller = _outermost_close(connection, frame)
    if caller is not None and not _is_librarys(caller):
        caller = _outermost_close(connection, callsite.past_wrappers(caller, connection, "close"))
    if caller is not None and caller.f_code.co_name == "getresponse" and _is_librarys(caller):
        # http.client gives the socket up to the answer, or is about to raise.
        state.ending_since = at
        return None
    trigger = _trigger(state, sheet, connection, caller, at)
    if trigger is None:
        mark.sheet = None
        return None
    # A socket that ended in the middle of a body was dead already, whatever closes it now.
    closing_now = close_begins(state, "exchange" if sheet.eof else trigger, at)
    return None if closing_now is None else (mark, closing_now, at)


def closed(token: Closing) -> None:
    """The close is over."""
    mark, sheet, began_at = token
    mark.closed(sheet, now() - began_at)


def shuts(response: Any) -> None:
    """The program shuts down the socket of an answer, which ends a read in another thread."""
    state = state_of(response._connection)
    if state is not None and getattr(response, "_sock_shutdown", None):  # else urllib3 raises
        state.shut = True


def _outermost_close(connection: Any, frame: FrameType | None) -> FrameType | None:
    """The caller of a subclass's ``close`` that called the base's."""
    while frame is not None and frame.f_code.co_name == "close" and _first(frame) is connection:
        frame = frame.f_back
    return frame


def _is_librarys(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(("urllib3.", "http.client"))


def _trigger(
    state: State, sheet: Connection, connection: Any, frame: FrameType | None, at: float
) -> CloseTrigger | None:
    if frame is None or not _is_librarys(frame):
        return "program"
    name = frame.f_code.co_name
    if name == "_get_conn":
        sheet.readable_at = at
        return "checkout"
    if name == "_put_conn":
        return _surplus(sheet, _first(frame).pool)
    if name == "_close_pool_connections":
        return _of_pool(state, sheet, connection, frame, at)
    if name == "urlopen":
        _note_uncaught(state.mark, sheet, frame, at)
        return "exchange"
    if name == "_error_catcher":
        return _in_body(state.mark, sheet, at)
    if name == "close":
        return _by_owner(state, sheet, connection, frame, at)
    return "program"


def _surplus(sheet: Connection, queue: Any) -> CloseTrigger:
    """There is no room for it in its pool, which may be closed."""
    if queue is None:
        return "checkin_closed"
    kept = getattr(queue, "queue", None)
    sheet.idle_left = None if kept is None else sum(connection is not None for connection in list(kept))
    return "checkin"


def _first(frame: FrameType) -> Any:
    """The first argument of the function that ``frame`` runs."""
    names = frame.f_code.co_varnames
    return frame.f_locals.get(names[0]) if names else None


def _is_readable(connection: Any) -> bool:
    """Whether the other side of an idle connection has said or closed something."""
    if poll is None:  # Windows
        return False
    try:
        waiting = poll()
        waiting.register(connection.sock.fileno(), READABLE)
        return bool(waiting.poll(0))
    except (OSError, ValueError, AttributeError, TypeError):  # not a real socket
        return False


def _with_pool(ending: CloseTrigger, sheet: Connection, connection: Any, at: float) -> CloseTrigger:
    """Its pool ends: only here it is seen that the other side closed it meanwhile."""
    if ending == "client" and sheet.idle_since is not None and _is_readable(connection):
        sheet.readable_at = at
    return ending


def _of_pool(
    state: State, sheet: Connection, connection: Any, frame: FrameType, at: float
) -> CloseTrigger | None:
    """Its pool was closed, evicted or collected: the pool's mark says which. None at the very end."""
    ending = state.pool.ending if state.pool is not None else None
    if ending is not None:  # a response kept the pool's connections a while longer
        return _with_pool(ending, sheet, connection, at)
    outer = frame.f_back
    while outer is not None and outer.f_globals.get("__name__") == "weakref":
        if outer.f_code.co_name == "_exitfunc":
            return None  # the process ends: it was open until now
        outer = outer.f_back
    return "gc"


def _note_uncaught(mark: ConnectionMark, sheet: Connection, frame: FrameType, at: float) -> None:
    """An exception that no hook below has seen, like a KeyboardInterrupt between two of them."""
    exchange = mark.exchange
    if exchange is None or exchange.finished_at is not None:
        return
    error = frame.f_locals.get("err") or _passing_through(frame)
    if error is not None:
        note_error(sheet, error)
        complete = None if exchange.headers_at is None else False
        exchanges.ended(exchange, complete, class_name(error), at, seen(error))


def _passing_through(frame: FrameType) -> BaseException | None:
    """The exception being raised through ``frame``; not one its callers are handling."""
    error = sys.exc_info()[1]
    traceback = error.__traceback__ if error is not None else None
    while traceback is not None:
        if traceback.tb_frame is frame:
            return error
        traceback = traceback.tb_next
    return None


def _in_body(mark: ConnectionMark, sheet: Connection, at: float) -> CloseTrigger:
    """Reading the body failed, or the generator that reads it was dropped half way."""
    error = sys.exc_info()[1]
    if error is None or isinstance(error, GeneratorExit):
        return "response"
    note_error(sheet, error)
    if mark.exchange is not None:
        exchanges.ended(mark.exchange, False, class_name(error), at, seen(error))
    return "exchange"


def _by_owner(state: State, sheet: Connection, connection: Any, frame: FrameType, at: float) -> CloseTrigger:
    owner = _first(frame)
    if hasattr(owner, "ConnectionCls"):  # up to 1.26.15 pools close their connections themselves
        ending = state.pool.ending if state.pool is not None else None
        return _with_pool(ending or "client", sheet, connection, at)
    outer = frame.f_back
    if outer is not None and outer.f_code.co_name == "_update_chunk_length":
        what = Seen("protocol" if outer.f_locals.get("line") else "ended")
        if what.kind == "protocol":
            sheet.error = "InvalidChunkLength"
        else:
            sheet.eof = True
        if state.mark.exchange is not None:
            exchanges.ended(state.mark.exchange, False, "urllib3.exceptions.ProtocolError", at, what)
        return "exchange"
    # io.IOBase sets this before it closes a finalized object.
    return "gc" if getattr(owner, "_finalizing", False) else "response"
