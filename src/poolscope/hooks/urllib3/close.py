"""urllib3: who closed a connection.

The function that called ``close()`` tells, at no cost per request and even inside garbage collection,
where ``sys.exc_info()`` alone may belong to somebody else. Nothing here calls out: closes run in
finalizers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from poolscope.facts import Connection, now
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.urllib3.errors import class_name, note_error
from poolscope.hooks.urllib3.state import ConnectionState, end_connection, finish

Closing = tuple[ConnectionState, Connection, str, float]


def wrap_close(original: Callable[..., Any]) -> Callable[..., Any]:
    """State a connection's close, and who called it."""
    # Responses left over are closed while the interpreter shuts down, when globals are gone.
    getframe, begins, ended, hide = sys._getframe, _closing, _closed, hide_frame

    def close(self: Any) -> Any:
        # Asked of the object itself: where somebody wrapped us, we run on when the class's mark is gone again.
        closing = begins(self, getframe(1)) if self.__dict__.get("_poolscope") is not None else None
        try:
            return original(self)
        except BaseException as error:
            hide(error)
            raise
        finally:
            if closing is not None:
                ended(closing)

    return close


@guard("urllib3.close")
def _closing(connection: Any, caller: FrameType) -> Closing | None:
    state: ConnectionState = connection._poolscope
    sheet = state.sheet
    if sheet is None or state.setup is not None:
        return None
    at = now()
    if state.inside == "getresponse":
        # http.client gives the socket up to the answer, or is about to raise.
        state.ending_since = at
        return None
    if state.era != connection._poolscope_era:
        return None
    trigger = _trigger(connection, state, sheet, caller, at)
    state.sheet = None
    if trigger is None:
        return None
    # A socket that ended in the middle of a body was dead already, whoever sweeps it up.
    return state, sheet, "exchange" if sheet.eof else trigger, at


@guard("urllib3.closed")
def _closed(closing: Closing) -> None:
    state, sheet, trigger, began_at = closing
    end_connection(state, sheet, trigger, began_at, now() - began_at)


def _trigger(
    connection: Any, state: ConnectionState, sheet: Connection, caller: FrameType, at: float
) -> str | None:
    frame: FrameType | None = caller
    while frame is not None and frame.f_code.co_name == "close" and _first(frame) is connection:
        frame = frame.f_back  # a subclass's close calling the base's
    if frame is None or not frame.f_globals.get("__name__", "").startswith(("urllib3.", "http.client")):
        return "program"
    name = frame.f_code.co_name
    if name == "_get_conn":
        sheet.readable_at = at
        return "checkout"
    if name == "_put_conn":
        return "checkin" if _first(frame).pool is not None else "checkin_closed"
    if name == "_close_pool_connections":
        return _of_pool(state, frame)
    if name == "urlopen":
        _note_uncaught(state, sheet, frame, at)
        return "exchange"
    if name == "_error_catcher":
        return _in_body(state, sheet, at)
    if name == "close":
        return _by_owner(state, sheet, frame, at)
    return "program"


def _first(frame: FrameType) -> Any:
    """The first argument of the function that ``frame`` runs."""
    names = frame.f_code.co_varnames
    return frame.f_locals.get(names[0]) if names else None


def _of_pool(state: ConnectionState, frame: FrameType) -> str | None:
    """Its pool was closed, evicted or collected: the mark on the pool's state says which. None at the very end."""
    ending = state.pool_state.ending if state.pool_state is not None else None
    if ending is not None:  # a response kept the pool's connections a while longer
        return ending
    outer = frame.f_back
    while outer is not None and outer.f_globals.get("__name__") == "weakref":
        if outer.f_code.co_name == "_exitfunc":
            return None  # the process ends: it was open to the last
        outer = outer.f_back
    return "gc"


def _note_uncaught(state: ConnectionState, sheet: Connection, frame: FrameType, at: float) -> None:
    """An exception that no hook below has seen, like a KeyboardInterrupt between two of them."""
    attempt = state.attempt
    if attempt is None or attempt.over:
        return
    error = frame.f_locals.get("err") or _passing_through(frame)
    if error is not None:
        note_error(sheet, error)
        exchange = attempt.exchange
        unanswered = exchange is None or exchange.headers_at is None
        finish(attempt, None if unanswered else False, at, class_name(error))


def _passing_through(frame: FrameType) -> BaseException | None:
    """The exception being raised through ``frame``; not one its callers are handling."""
    error = sys.exc_info()[1]
    traceback = error.__traceback__ if error is not None else None
    while traceback is not None:
        if traceback.tb_frame is frame:
            return error
        traceback = traceback.tb_next
    return None


def _in_body(state: ConnectionState, sheet: Connection, at: float) -> str:
    """Reading the body failed, or the generator that reads it was dropped half way."""
    error = sys.exc_info()[1]
    if error is None or isinstance(error, GeneratorExit):
        return "response"
    note_error(sheet, error)
    if state.attempt is not None:
        finish(state.attempt, False, at, class_name(error))
    return "exchange"


def _by_owner(state: ConnectionState, sheet: Connection, frame: FrameType, at: float) -> str:
    owner = _first(frame)
    if hasattr(owner, "ConnectionCls"):  # up to 1.26.15 pools close their connections themselves
        return (state.pool_state.ending if state.pool_state is not None else None) or "client"
    outer = frame.f_back
    if outer is not None and outer.f_code.co_name == "_update_chunk_length":
        if outer.f_locals.get("line"):
            sheet.error = "InvalidChunkLength"
        else:
            sheet.eof = True
        if state.attempt is not None:
            finish(state.attempt, False, at, "urllib3.exceptions.ProtocolError")
        return "exchange"
    # io.IOBase sets this before it closes what is being finalized.
    return "gc" if getattr(owner, "_finalizing", False) else "response"
