"""Hooks for httpcore and httpcore2, which have the same names: pools, their connections, their answers.

The pool classes' methods are replaced; every object below a pool (connection, stream, answer) gets a class
of ours when the pool makes it. So one pool can be traced without touching the library, and both ways
together count once.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.httpcore import queueing
from poolscope.hooks.httpcore.adopt import adopt_connections
from poolscope.hooks.httpcore.answer import ASYNC_BODIES, BODIES, answered
from poolscope.hooks.httpcore.backend import WatchedBackend, backend_classes
from poolscope.hooks.httpcore.peek import origin_of
from poolscope.hooks.httpcore.requests import assigned, begin, departed, failed, lost
from poolscope.hooks.httpcore.state import CLOSER, CURRENT, Flight, Wire, pool_state
from poolscope.hooks.patching import Patches
from poolscope.hooks.traced import TracedClasses
from poolscope.libraries import resolver
from poolscope.libraries.weaver import WEAVER
from poolscope.queue import FACTS

_POOLS: Final = ("ConnectionPool", "HTTPProxy", "SOCKSProxy")


class Library:
    """httpcore or httpcore2: what of it the hooks need, and which time they are in (a new era each)."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.name = module.__name__
        self.era = 0
        self.backend, self.async_backend = backend_classes(module)
        unavailable = module.ConnectionNotAvailable
        self.connections = TracedClasses(
            {"handle_request": _on_connection(unavailable), "close": _connection_close}
        )
        self.async_connections = TracedClasses(
            {"handle_async_request": _async_on_connection(unavailable), "aclose": _async_connection_close}
        )
        create = _create_connection(self)
        self.pools = TracedClasses(
            {
                "create_connection": create,
                "handle_request": _on_pool(self),
                "close": _pool_close,
                **queueing.METHODS,
            },
            by_name=True,
        )
        self.async_pools = TracedClasses(
            {
                "create_connection": create,
                "handle_async_request": _async_on_pool(self),
                "aclose": _async_pool_close,
                **queueing.ASYNC_METHODS,
            },
            by_name=True,
        )

    def __repr__(self) -> str:
        return f"<Library {self.name}, era {self.era}>"


_LIBRARIES: Final[dict[str, Library]] = {}
_adopting = threading.RLock()


def _after_fork() -> None:
    """In a forked child: whoever held the lock is not here to let it go."""
    global _adopting
    _adopting = threading.RLock()


FACTS.at_fork = (*FACTS.at_fork, _after_fork)


def library_of(module: ModuleType) -> Library:
    """What is known of ``module``, made on first use; tests may import a library anew, with other classes."""
    library = _LIBRARIES.get(module.__name__)
    if library is None or library.module is not module:
        library = _LIBRARIES[module.__name__] = Library(module)
    return library


def install(module: ModuleType, patches: Patches) -> None:
    """Hook every pool of ``module``, httpcore or httpcore2; pools and connections alive are adopted when used."""
    library = library_of(module)
    library.era += 1
    for prefix in ("", "Async"):
        for name in _POOLS:
            patches.replace(getattr(module, prefix + name), "create_connection", _create_connection(library))
    patches.replace(module.AsyncConnectionPool, "aclose", _async_pool_close)
    patches.replace(module.ConnectionPool, "close", _pool_close)
    patches.replace(module.AsyncConnectionPool, "handle_async_request", _async_on_pool(library))
    patches.replace(module.ConnectionPool, "handle_request", _on_pool(library))
    queueing.install(module.AsyncConnectionPool, queueing.ASYNC_METHODS, patches)
    queueing.install(module.ConnectionPool, queueing.METHODS, patches)
    WEAVER.weave([resolver.SOCKET])


def trace_pool(pool: Any) -> bool:
    """Trace one pool without touching its library; False if it is not one of httpcore's or httpcore2's.

    Safe to call twice, and together with `install`: nothing is counted twice. DNS time is seen only
    while hooks are installed; without them it is part of the connect phase.
    """
    for cls in type(pool).__mro__:
        module = sys.modules.get(cls.__module__)
        if cls.__module__ in ("httpcore", "httpcore2") and module is not None:
            library = library_of(module)
            classes = library.async_pools if hasattr(pool, "aclose") else library.pools
            if not classes.adopt(pool):
                return False
            pool_state(pool).explicit = True
            return True
    return False


# What happens in a pool


@guard("httpcore.request")
def _begin(library: Library, pool: Any, request: Any, in_task: bool) -> Flight:
    state = pool_state(pool)
    if state.era != library.era:
        with _adopting:
            adopt_connections(library, pool, state)
    return begin(pool, state, request, in_task)


@guard("httpcore.backend")
def _backend_for(library: Library, pool: Any) -> WatchedBackend | None:
    inner = getattr(pool, "_network_backend", None)
    if inner is None or isinstance(inner, WatchedBackend):
        return None
    backend = (library.async_backend if hasattr(pool, "aclose") else library.backend)(inner)
    pool._network_backend = backend
    return backend


@guard("httpcore.created")
def _created(library: Library, pool: Any, connection: Any, backend: WatchedBackend, origin: Any) -> None:
    wire = Wire(connection, pool, origin_of(origin), library.era)
    classes = library.async_connections if hasattr(connection, "aclose") else library.connections
    if classes.adopt(connection):
        connection._poolscope = wire
        backend._poolscope = wire


def _create_connection(library: Library) -> Callable[..., Any]:
    # Called under the pool's own lock, which is not reentrant: nothing here may ask the pool anything.
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def create_connection(self: Any, origin: Any) -> Any:
            backend = _backend_for(library, self)
            try:
                connection = original(self, origin)
            except BaseException as error:
                hide_frame(error)
                raise
            finally:
                if backend is not None:
                    self._network_backend = backend._inner
            if backend is not None:
                _created(library, self, connection, backend, origin)
            return connection

        return create_connection

    return make


def _on_pool(library: Library) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def handle_request(self: Any, request: Any) -> Any:
            before = CURRENT.get()
            inner = before is not None and before.request is request  # traced itself and by its class
            flight = before if inner else _begin(library, self, request, False)
            CURRENT.set(flight)
            try:
                response = original(self, request if flight is None else flight.request)
            except BaseException as error:
                if not inner:
                    failed(flight, error)
                hide_frame(error)
                raise
            finally:
                CURRENT.set(before)
            if not inner:
                answered(BODIES, flight, response)
            return response

        return handle_request

    return make


def _async_on_pool(library: Library) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def handle_async_request(self: Any, request: Any) -> Any:
            before = CURRENT.get()
            inner = before is not None and before.request is request  # traced itself and by its class
            flight = before if inner else _begin(library, self, request, True)
            CURRENT.set(flight)
            try:
                response = await original(self, request if flight is None else flight.request)
            except BaseException as error:
                if not inner:
                    failed(flight, error)
                hide_frame(error)
                raise
            finally:
                CURRENT.set(before)
            if not inner:
                answered(ASYNC_BODIES, flight, response)
            return response

        return handle_async_request

    return make


def _closes(closer: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Wrappers for close and aclose: what is closed inside them is closed by ``closer``."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def close(self: Any) -> None:
            before = CLOSER.get()
            CLOSER.set(before if before == "client" else closer)
            try:
                original(self)
            except BaseException as error:
                hide_frame(error)
                raise
            finally:
                CLOSER.set(before)

        return close

    def make_async(original: Callable[..., Any]) -> Callable[..., Any]:
        async def aclose(self: Any) -> None:
            before = CLOSER.get()
            CLOSER.set(before if before == "client" else closer)
            try:
                await original(self)
            except BaseException as error:
                hide_frame(error)
                raise
            finally:
                CLOSER.set(before)

        return aclose

    return make, make_async


_pool_close, _async_pool_close = _closes("client")
_connection_close, _async_connection_close = _closes("maintenance")


# What happens on a connection of a pool


def _on_connection(unavailable: type[BaseException]) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def handle_request(self: Any, request: Any) -> Any:
            flight = assigned(self)
            try:
                return original(self, request)
            except unavailable as error:
                lost(flight)
                hide_frame(error)
                raise
            except BaseException as error:
                departed(flight, error)
                hide_frame(error)
                raise

        return handle_request

    return make


def _async_on_connection(unavailable: type[BaseException]) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def handle_async_request(self: Any, request: Any) -> Any:
            flight = assigned(self)
            try:
                return await original(self, request)
            except unavailable as error:
                lost(flight)
                hide_frame(error)
                raise
            except BaseException as error:
                departed(flight, error)
                hide_frame(error)
                raise

        return handle_async_request

    return make
