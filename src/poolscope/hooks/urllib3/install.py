"""Which of urllib3's methods is wrapped by what, for all of urllib3 or for one manager."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any, Final
from weakref import WeakKeyDictionary

from poolscope.hooks import clients
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.patching import Patches
from poolscope.hooks.traced import TracedClasses
from poolscope.hooks.urllib3 import manager, pool
from poolscope.hooks.urllib3.close import wrap_close
from poolscope.hooks.urllib3.connection import wrap_getresponse, wrap_init_length, wrap_request
from poolscope.hooks.urllib3.phases import wrap_handshake, wrap_new_conn, wrap_socks_request, wrap_tunnel
from poolscope.hooks.urllib3.setup import wrap_connect
from poolscope.libraries.marks import mark_on, set_mark

Make = Callable[[Any], Any]

CONNECTION: Final[Mapping[str, Make]] = {
    "connect": wrap_connect,
    "_new_conn": wrap_new_conn,
    "_tunnel": wrap_tunnel,
    "request": wrap_request,
    "request_chunked": wrap_request,
    "getresponse": wrap_getresponse,
    "close": wrap_close,
}
POOL: Final[Mapping[str, Make]] = {
    "__init__": manager.wrap_pool_init,
    "urlopen": pool.wrap_urlopen,
    "_get_conn": pool.wrap_get_conn,
    "_put_conn": pool.wrap_put_conn,
    "close": manager.wrap_pool_close,
}
MANAGER: Final[Mapping[str, Make]] = {
    "__init__": manager.wrap_manager_init,
    "_new_pool": manager.wrap_new_pool,
    "clear": manager.wrap_clear,
    "urlopen": manager.wrap_manager_urlopen,
}

_originals: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _ours(make: Make) -> Make:
    """Wrap what a wrapper of ours replaced, never the wrapper: global hooks and traced classes count once."""

    @functools.wraps(make)
    def wrap(original: Any) -> Any:
        original = _unwrapped(original)
        wrapper = make(original)
        _originals[wrapper] = original
        return wrapper

    return wrap


def _unwrapped(method: Any) -> Any:
    # Wrappers of wrapt's equal what they wrap, so that theirs would be lost with ours.
    return _originals.get(method, method) if type(method) is FunctionType else method


def install(module: ModuleType, patches: Patches) -> None:
    """Put the hooks into all of urllib3; what is alive is observed from its next use on."""
    if module.__name__.endswith(".contrib.socks"):  # an import of its own: it warns where PySocks is missing
        _wrap_own(module.SOCKSConnection, patches)
        patches.replace(module.socks.socksocket, "_SOCKS5_request", _ours(wrap_socks_request))
        return
    connection, connectionpool, poolmanager, ssl_, response = (
        importlib.import_module(f"{module.__name__}.{name}")
        for name in ("connection", "connectionpool", "poolmanager", "util.ssl_", "response")
    )
    era = clients.new_era("urllib3")
    for owner, table in (
        (connection.HTTPConnection, CONNECTION),
        (connectionpool.HTTPConnectionPool, POOL),
        (poolmanager.PoolManager, MANAGER),
    ):
        patches.put(owner, "_poolscope", None)
        patches.put(owner, "_poolscope_era", era)
        for method, make in table.items():
            if method != "request_chunked" or _sends_chunks_itself(connection):
                patches.replace(owner, method, _ours(make))
    patches.put(connectionpool.HTTPConnectionPool, "_poolscope_client", None)
    patches.put(poolmanager.PoolManager, "_poolscope_stand_in", None)
    _wrap_own(connection.HTTPSConnection, patches)
    patches.replace(ssl_, "_ssl_wrap_socket_impl", _ours(wrap_handshake))
    patches.replace(response.HTTPResponse, "_init_length", _ours(wrap_init_length))


def _sends_chunks_itself(connection: ModuleType) -> bool:
    """1.26 does; 2.x calls ``request`` and warns at its caller, where no frame of ours should be."""
    return not hasattr(connection.HTTPConnection, "is_closed")


def _wrap_own(cls: Any, patches: Patches) -> None:
    for method, make in CONNECTION.items():
        if method in vars(cls):
            patches.replace(cls, method, _ours(make))


class _Twins(TracedClasses):
    """Traced classes that carry what the global hooks would have put on the base class."""

    def of(self, cls: type) -> type:
        twin: Any = super().of(cls)
        if "_poolscope_era" not in vars(twin):
            twin._poolscope = twin._poolscope_client = twin._poolscope_stand_in = None
            twin._poolscope_era = 0
        return twin  # type: ignore[no-any-return]

    def _resolve(self, cls: type, name: str) -> Any:
        return _unwrapped(getattr(cls, name))


def _adopting(twins: _Twins) -> Make:
    """What the wrapped method returns becomes traced."""

    def wrap(original: Any) -> Any:
        @functools.wraps(original)
        def made(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                thing = original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
            _adopt(twins, thing)
            return thing

        return made

    return wrap


@guard("urllib3.adopt")
def _adopt(twins: _Twins, thing: Any) -> None:
    era: int | None = getattr(thing, "_poolscope_era", None)  # of its class: None while no hooks are in
    if twins.adopt(thing):
        state = mark_on(thing)
        if era and state is not None and state.era == era:
            state.era = 0  # it goes on without a gap


def _twins_of(table: Mapping[str, Make], **more: Make) -> _Twins:
    methods = {name: make for name, make in table.items() if name != "__init__"}
    return _Twins({name: _ours(make) for name, make in (methods | more).items()}, by_name=True)


@functools.cache
def _managers() -> tuple[_Twins, _Twins]:
    """Managers whose pools are traced, and those pools, whose connections are traced."""
    table = dict(CONNECTION)
    if not _sends_chunks_itself(importlib.import_module("urllib3.connection")):
        del table["request_chunked"]
    connections = _twins_of(table)
    pools = _twins_of(
        POOL,
        _new_conn=_adopting(connections),
        # Those that were there before the pool was traced come past here.
        _get_conn=lambda original: pool.wrap_get_conn(_adopting(connections)(original)),
    )
    return _twins_of(
        MANAGER, _new_pool=lambda original: manager.wrap_new_pool(_adopting(pools)(original))
    ), pools


def trace_manager(
    traced: Any,
    kind: str = "urllib3.PoolManager",
    new: bool = False,
    mark: clients.ClientMark | None = None,
) -> None:
    """Observe one pool manager (and proxy managers likewise) without any global patch; twice is once.

    Its requests belong to the client whose call they are in, if that is observed; else to that of ``mark``;
    else to a client of this ``kind``, whose past is unknown unless the manager is ``new``. Without the global
    hooks the TLS handshake cannot be told from loading certificates, and neither is stated.
    """
    managers, pools = _managers()
    era: int | None = getattr(traced, "_poolscope_era", None)  # of its class: None while no hooks are in
    if not managers.adopt(traced) or traced._poolscope_stand_in is not None:
        return
    site = clients.construction_site(traced) if new else None
    set_mark(traced, clients.traced(traced, kind, site) if mark is None else mark, "_poolscope_stand_in")
    own = clients.mark_of(traced)
    if own is not None:
        own.facts.traced(in_sight=own.facts.era == era)
    for known in _pools_of(traced):
        _adopt(pools, known)
        manager.own(traced, known)


def _pools_of(traced: Any) -> list[Any]:
    with traced.pools.lock:
        return list(traced.pools._container.values())
