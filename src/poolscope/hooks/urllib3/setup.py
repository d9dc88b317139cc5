"""urllib3: the setup of a connection, its outcome, and what the socket says about itself."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from poolscope.facts import BEGUN, ENDED, OPENED, Connection, now
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.live import LIVE
from poolscope.hooks.urllib3.errors import note_error
from poolscope.hooks.urllib3.phases import CURRENT_SETUP, Setup, handshake_is_visible
from poolscope.hooks.urllib3.state import (
    ConnectionState,
    assign,
    attempt_on,
    end_connection,
    fail,
    silent_here,
    state_of,
)
from poolscope.queue import FACTS
from poolscope.story.suppression import suppressed


def wrap_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    """Time a connection's setup and state its outcome."""

    def connect(self: Any) -> Any:
        setup = _setup_begins(self)
        if setup is None:
            try:
                return original(self)
            except BaseException as error:
                hide_frame(error)
                raise
        token = CURRENT_SETUP.get()
        CURRENT_SETUP.set(setup)
        try:
            result = original(self)
        except BaseException as error:
            _setup_failed(self, setup, error)
            hide_frame(error)
            raise
        finally:
            CURRENT_SETUP.set(token)
        _setup_succeeded(self, setup)
        return result

    return connect


@guard("urllib3.connect")
def _setup_begins(connection: Any) -> Setup | None:
    state = state_of(connection)
    if state.setup is not None:  # a subclass's connect calling the base's
        return None
    at = now()
    if state.sheet is not None:  # connected anew without a close: nobody holds the old socket now
        sheet, state.sheet = state.sheet, None
        end_connection(state, sheet, "gc", at)
    state.past_unknown = False
    state.silent = silent_here(state) or (state.attempt is None and suppressed())
    if state.silent:
        return None
    sheet = new_sheet(connection, state)
    sheet.setup_started_at = at
    state.setup = setup = Setup(sheet, at, sheet.origin[0] == "https")
    FACTS.put(BEGUN, sheet)
    return setup


def new_sheet(connection: Any, state: ConnectionState) -> Connection:
    """The sheet of a socket that ``connection`` is about to open, or was found to hold."""
    proxy = getattr(connection, "proxy", None)
    tunnel = getattr(connection, "_tunnel_host", None)
    secure = connection.default_port == 443
    host, port, via = connection.host, connection.port, "direct"
    if hasattr(connection, "_socks_options"):
        via = "socks"
    elif tunnel:
        host, port, via = tunnel, connection._tunnel_port, "tunnel"
    elif proxy is not None:
        via = "forward"
    sheet = Connection(("https" if secure else "http", host, port), FACTS.epoch)
    sheet.via = via
    attempt = attempt_on(state)
    if attempt is not None and attempt.exchange is not None:
        exchange = attempt.exchange
        sheet.opened_by, sheet.client, sheet.pool = exchange.id, exchange.client, exchange.pool
    return sheet


@guard("urllib3.connect_failed")
def _setup_failed(connection: Any, setup: Setup, error: BaseException) -> None:
    at = now()
    state = state_of(connection)
    state.setup = None
    sheet = setup.sheet
    if setup.phase == "tls_context" and not handshake_is_visible():
        sheet.failed_phase = "tls"
    else:
        sheet.failed_phase = setup.phase
        sheet.phases.append((setup.phase, setup.at, at))
    note_error(sheet, error)
    sheet.closed_at = at
    FACTS.put(ENDED, sheet)
    attempt = state.attempt
    if LIVE.door is not None:
        LIVE.door.setup_ended(sheet, attempt.exchange if attempt is not None else None)
    if attempt is not None:
        fail(attempt, error, at)


@guard("urllib3.connected")
def _setup_succeeded(connection: Any, setup: Setup) -> None:
    sheet = setup.sheet
    state = state_of(connection)
    state.setup = None
    sheet.opened_at = sheet.idle_since = now()
    describe_socket(sheet, connection.sock)
    state.sheet = sheet
    FACTS.put(OPENED, sheet)
    attempt = state.attempt
    exchange = attempt.exchange if attempt is not None and not attempt.over else None
    if exchange is not None:
        assign(exchange, sheet, reused=False)
    if LIVE.door is not None:
        LIVE.door.setup_ended(sheet, exchange)


def describe_socket(sheet: Connection, sock: Any) -> None:
    """Write down addresses and TLS parameters of an open socket, as far as it tells them."""
    if hasattr(sock, "selected_alpn_protocol"):
        sheet.tls_version = _ask(sock, "version")
        cipher = _ask(sock, "cipher")
        sheet.cipher = cipher[0] if cipher else None
        sheet.alpn = _ask(sock, "selected_alpn_protocol")
        sheet.resumed = getattr(sock, "session_reused", None)
        sock = sock if hasattr(sock, "getpeername") else getattr(sock, "socket", None)  # TLS in TLS
    sheet.local, sheet.peer = _ask(sock, "getsockname"), _peer(sock)
    if getattr(sock, "family", None) == getattr(socket, "AF_UNIX", -1):
        sheet.via = "uds"


def _peer(sock: Any) -> Any:
    """The real peer: PySocks answers with what lies behind the proxy."""
    if not hasattr(sock, "get_proxy_peername"):
        return _ask(sock, "getpeername")
    try:
        return socket.socket.getpeername(sock)
    except (OSError, TypeError):
        return None


def _ask(sock: Any, question: str) -> Any:
    try:
        return getattr(sock, question)()
    except (AttributeError, OSError, ValueError):  # closed by the peer already, or not a real socket
        return None
