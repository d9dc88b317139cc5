"""A network backend per connection: it says when a setup begins, and gives the stream to its wire.

Each connection object gets its own, so that no context is needed to know whose connect it is.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.httpcore.describe import note_addresses, note_tls
from poolscope.hooks.httpcore.setup import connect_begins, connect_ends, opened, setup_is_over
from poolscope.hooks.httpcore.state import Wire
from poolscope.hooks.httpcore.stream import trace_stream
from poolscope.libraries.resolver import LOOKUPS, Lookup, is_literal


class WatchedBackend:
    """The pool's backend under another name; what is not a connect goes straight to it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._poolscope: Wire | None = None

    def __repr__(self) -> str:
        return repr(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@guard("httpcore.connecting")
def _connecting(backend: WatchedBackend, host: Any) -> list[Lookup]:
    lookups: list[Lookup] = []
    wire = backend._poolscope
    if wire is not None:
        LOOKUPS.set(None if host is None or is_literal(host) else lookups)
        connect_begins(wire)
        if wire.sheet is not None:
            wire.sheet.dns_name = host
    return lookups


@guard("httpcore.connect_failed")
def _failed(backend: WatchedBackend, lookups: list[Lookup]) -> None:
    if backend._poolscope is not None:
        connect_ends(backend._poolscope, lookups, connected=False)


@guard("httpcore.connected")
def _connected(backend: WatchedBackend, lookups: list[Lookup], stream: Any) -> None:
    wire = backend._poolscope
    if wire is None or wire.sheet is None:
        return
    connect_ends(wire, lookups, connected=True)
    trace_stream(stream, wire)
    note_addresses(stream, wire.sheet)
    if setup_is_over(wire):
        note_tls(stream, wire.sheet)  # a backend may hand out what is secured already
        opened(wire)


def _connects(name: str) -> Any:
    def connect(self: WatchedBackend, *args: Any, **kwargs: Any) -> Any:
        lookups = _connecting(self, _host(name, args, kwargs))
        try:
            stream = getattr(self._inner, name)(*args, **kwargs)
        except BaseException as error:
            _failed(self, lookups)
            hide_frame(error)
            raise
        finally:
            LOOKUPS.set(None)
        _connected(self, lookups, stream)
        return stream

    return connect


def _async_connects(name: str) -> Any:
    async def connect(self: WatchedBackend, *args: Any, **kwargs: Any) -> Any:
        lookups = _connecting(self, _host(name, args, kwargs))
        try:
            stream = await getattr(self._inner, name)(*args, **kwargs)
        except BaseException as error:
            _failed(self, lookups)
            hide_frame(error)
            raise
        finally:
            LOOKUPS.set(None)
        _connected(self, lookups, stream)
        return stream

    return connect


def _host(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name != "connect_tcp":
        return None
    return kwargs.get("host", args[0] if args else None)


def _sleep(self: WatchedBackend, seconds: float) -> Any:
    try:
        return self._inner.sleep(seconds)
    except BaseException as error:
        hide_frame(error)
        raise


def backend_classes(module: ModuleType) -> tuple[type[WatchedBackend], type[WatchedBackend]]:
    """The sync and the async kind, as subclasses of what ``module`` (httpcore or httpcore2) calls a backend."""
    return (
        _backend_class(module.NetworkBackend, _connects),
        _backend_class(module.AsyncNetworkBackend, _async_connects),
    )


def _backend_class(interface: type, connects: Any) -> type[WatchedBackend]:
    names = ("connect_tcp", "connect_unix_socket")
    body = {name: connects(name) for name in names}
    return type(interface.__name__, (WatchedBackend, interface), {**body, "sleep": _sleep})
