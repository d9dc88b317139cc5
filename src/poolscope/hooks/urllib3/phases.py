"""urllib3: the phases of a connection's setup.

Where DNS ends and connecting begins is seen without replacing anything: ``create_connection`` (urllib3's
and PySocks') iterates over ``socket_options`` once per address, after resolving and before connecting.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final

from poolscope.facts import Connection, now
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.urllib3.errors import on_the_wire

CURRENT_SETUP: Final[ContextVar[Any]] = ContextVar("poolscope_urllib3_setup", default=None)
"""The `Setup` whose ``connect`` we are in, or None."""


class Setup:
    """A connection's setup under way: which phase it is in, and since when."""

    __slots__ = ("at", "in_lookup", "in_tunnel", "negotiated_from", "phase", "secure", "sheet")

    def __init__(self, sheet: Connection, at: float, secure: bool) -> None:
        self.sheet = sheet
        self.phase = "connect"
        self.at = at
        self.secure = secure
        self.in_lookup = False
        self.in_tunnel = False
        self.negotiated_from: float | None = None
        """When a SOCKS proxy was reached and asked."""

    def __repr__(self) -> str:
        return f"<Setup {self.phase} of {self.sheet!r}>"

    def over(self, at: float) -> None:
        """The phase it is in has ended; on the way to TLS the next one is making the context."""
        self.sheet.phases.append((self.phase, self.at, at))
        self.skip(at)

    def skip(self, at: float) -> None:
        """As `over`, where the phase could not be observed."""
        self.phase, self.at = "tls_context" if self.secure else "connect", at


class _TimedOptions(list[Any]):
    """Socket options that know when they were read; true even when empty, as both readers ask first."""

    def __init__(self, options: Any) -> None:
        super().__init__(options or ())
        self.read_at: list[float] = []

    def __iter__(self) -> Iterator[Any]:
        self.read_at.append(now())
        return super().__iter__()

    def __bool__(self) -> bool:
        return True


def wrap_new_conn(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tell name resolution from connecting."""

    def _new_conn(self: Any) -> Any:
        setup = _lookup_begins(self)
        if setup is None:
            try:
                return original(self)
            except BaseException as error:
                hide_frame(error)
                raise
        options = self.socket_options
        self.socket_options = timed = _TimedOptions(options)
        try:
            sock = original(self)
        except BaseException as error:
            _lookup_failed(setup, timed, error)
            hide_frame(error)
            raise
        finally:
            self.socket_options = options
        _lookup_succeeded(setup, timed, sock)
        return sock

    return _new_conn


@guard("urllib3.new_conn")
def _lookup_begins(connection: Any) -> Setup | None:
    state = connection._poolscope
    setup: Setup | None = state.setup if state is not None else None
    if setup is None or setup.in_lookup or not hasattr(connection, "socket_options"):
        return None
    setup.in_lookup = True
    setup.sheet.dns_name = _host_looked_up(connection)
    setup.at = now()
    return setup


def _resolved(setup: Setup, timed: _TimedOptions) -> bool:
    """Whether addresses were tried; then the phase is ``connect``, since they were known."""
    setup.in_lookup = False
    if not timed.read_at:
        return False
    connected_from = timed.read_at[0]
    setup.sheet.attempts = len(timed.read_at)
    if not _is_address(str(setup.sheet.dns_name)):
        setup.sheet.phases.append(("dns", setup.at, connected_from))
    setup.phase, setup.at = "connect", connected_from
    negotiated_from = setup.negotiated_from
    if negotiated_from is not None and negotiated_from > timed.read_at[-1]:
        setup.over(negotiated_from)
        setup.phase = "proxy_tunnel"
    return True


def _host_looked_up(connection: Any) -> str:
    """What is connected to; PySocks asks for the proxy's address only, or for the origin's much later."""
    socks = getattr(connection, "_socks_options", None)
    return connection.host if socks is None else str(socks.get("proxy_host"))


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


@guard("urllib3.new_conn_failed")
def _lookup_failed(setup: Setup, timed: _TimedOptions, error: BaseException) -> None:
    if not _resolved(setup, timed):
        # Reading the options comes right after the answer: without it there was none, unless a subclass
        # connects in its own way.
        setup.phase = "dns" if isinstance(on_the_wire(error), socket.gaierror | UnicodeError) else "connect"


@guard("urllib3.new_conn_done")
def _lookup_succeeded(setup: Setup, timed: _TimedOptions, sock: Any) -> None:
    if _resolved(setup, timed) or getattr(sock, "family", None) == getattr(socket, "AF_UNIX", -1):
        setup.over(now())
    else:
        setup.skip(now())


def wrap_socks_request(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tell PySocks' talk with a SOCKS5 proxy from connecting to it: both happen in one ``connect``."""

    def _SOCKS5_request(self: Any, *args: Any, **kwargs: Any) -> Any:
        _negotiation_begins()
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise

    return _SOCKS5_request


@guard("urllib3.socks")
def _negotiation_begins() -> None:
    setup: Setup | None = CURRENT_SETUP.get()
    if setup is not None:
        setup.negotiated_from = now()


def wrap_tunnel(original: Callable[..., Any]) -> Callable[..., Any]:
    """Time the CONNECT request to a proxy."""

    def _tunnel(self: Any) -> Any:
        setup = _tunnel_begins(self)
        try:
            result = original(self)
        except BaseException as error:
            hide_frame(error)
            raise
        if setup is not None:
            _tunnel_ended(setup)
        return result

    return _tunnel


@guard("urllib3.tunnel")
def _tunnel_begins(connection: Any) -> Setup | None:
    state = connection._poolscope
    setup: Setup | None = state.setup if state is not None else None
    if setup is None or setup.in_tunnel:
        return None
    setup.in_tunnel = True
    setup.phase, setup.at = "proxy_tunnel", now()
    return setup


@guard("urllib3.tunnel_done")
def _tunnel_ended(setup: Setup) -> None:
    setup.in_tunnel = False
    setup.over(now())


def wrap_handshake(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tell the TLS handshake from making its context and loading CA certificates before it."""

    def _ssl_wrap_socket_impl(*args: Any, **kwargs: Any) -> Any:
        setup = _handshake_begins()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        if setup is not None:
            _handshake_ended(setup)
        return result

    _ssl_wrap_socket_impl._poolscope = True  # type: ignore[attr-defined]
    return _ssl_wrap_socket_impl


def handshake_is_visible() -> bool:
    """Whether the handshake can be told from what comes before it: not without the global hooks."""
    module = sys.modules.get("urllib3.util.ssl_")
    return hasattr(getattr(module, "_ssl_wrap_socket_impl", None), "_poolscope")


@guard("urllib3.handshake")
def _handshake_begins() -> Setup | None:
    setup: Setup | None = CURRENT_SETUP.get()
    if setup is not None:
        at = now()
        setup.phase = "tls_context"  # a plain connection to a proxy may still speak TLS to it
        setup.over(at)
        setup.phase = "tls"
    return setup


@guard("urllib3.handshake_done")
def _handshake_ended(setup: Setup) -> None:
    at = now()
    setup.over(at)
    setup.phase = "tls"  # what fails from here on is the check of the certificate
