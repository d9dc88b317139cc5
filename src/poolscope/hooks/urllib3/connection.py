"""urllib3: requests and answers on a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poolscope.facts import Connection, now
from poolscope.hooks import callsite
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.urllib3.errors import note_error
from poolscope.hooks.urllib3.setup import describe_socket, new_sheet
from poolscope.hooks.urllib3.state import (
    CURRENT_ATTEMPT,
    Attempt,
    ConnectionState,
    announce,
    answered,
    assign,
    attempt_on,
    begin_exchange,
    begin_request,
    end_connection,
    fail,
    finish,
    state_of,
)
from poolscope.queue import FACTS
from poolscope.story.suppression import suppressed

# _make_request swallows these: the server may have answered before it stopped listening.
_SWALLOWED = (BrokenPipeError, ConnectionResetError)


def wrap_request(original: Callable[..., Any]) -> Callable[..., Any]:
    """Number a request on its connection and time its sending; also for 1.26's ``request_chunked``."""

    def request(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self._poolscope
        if state is not None and state.awaited:
            state.awaited = False
            state.inside = "request"
        else:
            sending = _request_begins(self, args, kwargs)
            if sending is None:
                try:
                    return original(self, *args, **kwargs)
                except BaseException as error:
                    hide_frame(error)
                    raise
            state, args, kwargs = sending
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            _request_failed(self, state, args[3] if len(args) > 3 else kwargs.get("headers"), error)
            hide_frame(error)
            raise
        _request_sent(self, state, args[3] if len(args) > 3 else kwargs.get("headers"))
        return result

    return request


@guard("urllib3.request")
def _request_begins(connection: Any, args: Any, kwargs: Any) -> tuple[ConnectionState, Any, Any] | None:
    state = state_of(connection)
    if state.inside is not None:  # a subclass's request calling the base's
        return None
    before = state.attempt
    if before is not None and not before.over and before.answer is not None:
        _next_without_pool(state, before)
    attempt = attempt_on(state)
    if attempt is None:
        state.fresh = connection.sock is None
        if not suppressed():
            attempt = state.attempt = _attempt_without_pool(connection, args, kwargs)
            if attempt.exchange is not None:
                args, kwargs = announce(attempt.exchange, args, kwargs, {}) or (args, kwargs)
    state.inside = "request"
    if state.sheet is None and connection.sock is not None:
        _adopt(connection, state)
    sheet = state.sheet
    if sheet is not None:
        begin_request(sheet)
        if attempt is not None and attempt.exchange is not None and attempt.exchange.connection is None:
            assign(attempt.exchange, sheet, sheet.requests > 0 or state.past_unknown)
    return state, args, kwargs


def _next_without_pool(state: ConnectionState, before: Attempt) -> None:
    at = now()
    finish(before, True if before.answer.isclosed() else None, at)
    if state.sheet is not None:
        state.sheet.idle_since = at
        if state.ending_since is not None:
            sheet, state.sheet = state.sheet, None
            end_connection(state, sheet, "response", at)


def _attempt_without_pool(connection: Any, args: Any, kwargs: Any) -> Attempt:
    """Somebody uses a connection by itself, past any pool."""
    origin = ("https" if connection.default_port == 443 else "http", connection.host, connection.port)
    method = args[0] if args else kwargs.get("method")
    exchange = begin_exchange(origin, method, args[1] if len(args) > 1 else kwargs.get("url"))
    exchange.call_site = callsite.user(3)
    exchange.pool_wait = 0.0
    FACTS.relieve()
    return Attempt(exchange, 0, None)


def _adopt(connection: Any, state: ConnectionState) -> None:
    """Give a socket its sheet that was opened unseen: before us, or by a ``connect`` that is not urllib3's."""
    if state.silent and not state.fresh:
        return
    attempt = attempt_on(state)
    state.silent = attempt is None or attempt.exchange is None
    if state.silent or attempt is None:
        return
    sheet = new_sheet(connection, state)
    if not state.fresh:
        sheet.opened_by = None
        state.past_unknown = True
    describe_socket(sheet, connection.sock)
    state.sheet = sheet
    if attempt.exchange is not None:
        assign(attempt.exchange, sheet, reused=not state.fresh)


@guard("urllib3.request_sent")
def _request_sent(connection: Any, state: ConnectionState, headers: Any) -> None:
    at = now()
    state.inside = None
    if state.sheet is None and connection.sock is not None:
        _adopt(connection, state)
    attempt = attempt_on(state)
    exchange = None if attempt is None else attempt.exchange
    sheet = state.sheet if exchange is None else exchange.connection
    if sheet is not None:
        _count(state, sheet, attempt, headers)
    if exchange is not None:
        exchange.sent_at = at


def _count(state: ConnectionState, sheet: Connection, attempt: Attempt | None, headers: Any) -> None:
    number = sheet.requests = sheet.requests + 1
    if attempt is not None:
        attempt.headers = headers
        if attempt.exchange is not None and not state.past_unknown:
            attempt.exchange.request_number = number


@guard("urllib3.request_failed")
def _request_failed(connection: Any, state: ConnectionState, headers: Any, error: BaseException) -> None:
    at = now()
    state.inside = None
    if state.sheet is None and connection.sock is not None:
        _adopt(connection, state)
    attempt = attempt_on(state)
    exchange = None if attempt is None else attempt.exchange
    sheet = state.sheet if exchange is None else exchange.connection
    if sheet is not None:
        if _was_sent(connection):
            _count(state, sheet, attempt, headers)
        note_error(sheet, error)
        if attempt is not None and not isinstance(error, _SWALLOWED):
            fail(attempt, error, at)


def _was_sent(connection: Any) -> bool:
    """Whether the head of a request whose sending failed had been handed to the socket."""
    return getattr(connection, "_HTTPConnection__state", None) not in ("Idle", "Request-started")


def wrap_getresponse(original: Callable[..., Any]) -> Callable[..., Any]:
    """See the answer's headers, or why there are none."""

    # 1.26 first tries getresponse(buffering=True) and expects a TypeError: no other argument may be taken.
    def getresponse(self: Any) -> Any:
        state = self._poolscope
        # Without a request that we saw, or inside a subclass's method calling the base's, it is not for us.
        if state is None or state.inside is not None or state.era != self._poolscope_era:
            try:
                return original(self)
            except BaseException as error:
                hide_frame(error)
                raise
        state.inside = "getresponse"
        try:
            response = original(self)
        except BaseException as error:
            _no_answer(state, error)
            hide_frame(error)
            raise
        _answer_came(state, response)
        return response

    return getresponse


@guard("urllib3.no_answer")
def _no_answer(state: ConnectionState, error: BaseException) -> None:
    at = now()
    state.inside = None
    sheet = state.sheet
    if sheet is not None:
        note_error(sheet, error)
    if state.attempt is not None:
        fail(state.attempt, error, at)
    if sheet is not None and state.ending_since is not None:
        state.sheet = None
        end_connection(state, sheet, "exchange", at)


@guard("urllib3.answer")
def _answer_came(state: ConnectionState, response: Any) -> None:
    at = now()
    state.inside = None
    answer = getattr(response, "_original_response", None) or response
    attempt = state.attempt
    if attempt is None or attempt.exchange is None:
        _unreported(state, answer)
        return
    answered(attempt, answer, at)
    if attempt.pool_id == 0 and attempt.answer is not None and attempt.answer.isclosed():
        finish(attempt, True, at)
        if state.sheet is not None:
            state.sheet.idle_since = at
            if state.ending_since is not None:
                sheet, state.sheet = state.sheet, None
                end_connection(state, sheet, "response", at)


def _unreported(state: ConnectionState, answer: Any) -> None:
    """An answer to a request that was suppressed, on a connection that was not."""
    if state.sheet is not None:
        state.sheet.last_status = answer.status
        state.sheet.answer_closes = bool(getattr(answer, "will_close", False))


def wrap_init_length(original: Callable[..., Any]) -> Callable[..., Any]:
    """Stand between headers and body, which may be read while the response object is still being made."""

    def _init_length(self: Any, *args: Any) -> Any:
        _headers_before_body(self)
        try:
            return original(self, *args)
        except BaseException as error:
            hide_frame(error)
            raise

    return _init_length


@guard("urllib3.headers")
def _headers_before_body(response: Any) -> None:
    attempt = CURRENT_ATTEMPT.get()
    answer = response._original_response
    if attempt is not None and answer is not None:
        answered(attempt, answer, now())
