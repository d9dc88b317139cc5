"""urllib3 1.26.15+ and 2.x: which method is wrapped by what, for all of it or for one manager."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final
from weakref import WeakKeyDictionary

from poolscope.hooks import urllib3_manager as manager
from poolscope.hooks import urllib3_pool as pool
from poolscope.hooks.patching import Patches
from poolscope.hooks.urllib3_close import wrap_close
from poolscope.hooks.urllib3_connection import wrap_getresponse, wrap_request, wrap_response_init
from poolscope.hooks.urllib3_setup import wrap_connect, wrap_handshake, wrap_new_conn, wrap_tunnel

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

_eras = itertools.count(1)
_originals: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _ours(make: Make) -> Make:
    """Wrap what a wrapper of ours replaced, never the wrapper: global hooks and traced classes count once."""

    @functools.wraps(make)
    def wrap(original: Any) -> Any:
        original = _originals.get(original, original)
        wrapper = make(original)
        _originals[wrapper] = original
        return wrapper

    return wrap


def install(module: ModuleType, patches: Patches) -> None:
    """Put the hooks into all of urllib3; what is alive is observed from its next use on."""
    if module.__name__.endswith(".contrib.socks"):  # an import of its own: it warns where PySocks is missing
        _wrap_own(module.SOCKSConnection, patches)
        return
    connection, connectionpool, poolmanager, ssl_, response = (
        importlib.import_module(f"{module.__name__}.{name}")
        for name in ("connection", "connectionpool", "poolmanager", "util.ssl_", "response")
    )
    era = next(_eras)
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
    _wrap_own(connection.HTTPSConnection, patches)
    patches.replace(ssl_, "_ssl_wrap_socket_impl", _ours(wrap_handshake))
    patches.replace(response.HTTPResponse, "__init__", _ours(wrap_response_init))


def _sends_chunks_itself(connection: ModuleType) -> bool:
    """1.26 does; 2.x calls ``request`` and warns at its caller, where no frame of ours should be."""
    return not hasattr(connection.HTTPConnection, "is_closed")


def _wrap_own(cls: Any, patches: Patches) -> None:
    for method, make in CONNECTION.items():
        if method in vars(cls):
            patches.replace(cls, method, _ours(make))
