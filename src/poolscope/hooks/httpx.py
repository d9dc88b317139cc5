"""Hooks for httpx and httpx2: clients' birth, use and close. Everything below is httpcore's.

The pools inside a client are marked as its own when it is built; one that several clients share is
nobody's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from poolscope.facts import now
from poolscope.hooks import callsite, clients
from poolscope.hooks.calls import CURRENT_CALL, Call
from poolscope.hooks.clients import ClientMark
from poolscope.hooks.guarding import guard, hide_frame
from poolscope.hooks.httpcore.install import trace_pool
from poolscope.hooks.httpcore.state import pool_state
from poolscope.hooks.patching import Patches
from poolscope.hooks.traced import TracedClasses
from poolscope.identity.values import serial_of
from poolscope.libraries.marks import mark_on, set_mark
from poolscope.story.suppression import suppressed

_TRANSPORTS_SEARCHED: Final = 32


class Library:
    """httpx or httpx2, and which time its hooks are in for (a new era each)."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.name = module.__name__
        self.era = 0
        self.hooked = False
        """Whether the hooks of that era are still in."""
        api = importlib.import_module(f"{self.name}._api")
        self.api_file = api.request.__code__.co_filename
        self.clients = TracedClasses({"send": _send(self), "close": _close, "__exit__": _close}, by_name=True)
        self.async_clients = TracedClasses(
            {"send": _async_send(self), "aclose": _async_close, "__aexit__": _async_close}, by_name=True
        )

    def __repr__(self) -> str:
        return f"<Library {self.name}, era {self.era}>"


_LIBRARIES: Final[dict[str, Library]] = {}


def library_of(module: ModuleType) -> Library:
    """What is known of ``module``, made on first use; tests may import a library anew, with other classes."""
    library = _LIBRARIES.get(module.__name__)
    if library is None or library.module is not module:
        library = _LIBRARIES[module.__name__] = Library(module)
    return library


def install(module: ModuleType, patches: Patches) -> None:
    """Hook both client classes of ``module``, httpx or httpx2; clients alive are observed from their next use on."""
    library = library_of(module)
    library.era = clients.new_era(library.name)
    patches.put(library, "hooked", True)
    for cls in (module.Client, module.AsyncClient):
        patches.replace(cls, "__init__", _init(library, f"{library.name}.{cls.__name__}"))
    patches.replace(module.Client, "send", _send(library))
    patches.replace(module.AsyncClient, "send", _async_send(library))
    for name in ("close", "__exit__"):
        patches.replace(module.Client, name, _close)
    for name in ("aclose", "__aexit__"):
        patches.replace(module.AsyncClient, name, _async_close)


def trace_client(client: Any) -> bool:
    """Trace one client and its pools without touching its library; False if it is not one of httpx's or httpx2's.

    Safe to call twice, and together with `install`: nothing is counted twice.
    """
    for cls in type(client).__mro__:
        module = sys.modules.get(cls.__module__.partition(".")[0])
        if (
            module is not None
            and module.__name__ in ("httpx", "httpx2")
            and cls.__name__ in ("Client", "AsyncClient")
        ):
            library = library_of(module)
            traced = (library.async_clients if hasattr(client, "aclose") else library.clients).adopt(client)
            _trace_mark(library, client)
            for pool in _pools_of(client):
                trace_pool(pool)
            return traced
    return False


def _trace_mark(library: Library, client: Any) -> None:
    mark = clients.mark_of(client)
    if mark is None:
        mark = clients.traced(client, _kind(library, client))
        set_mark(client, mark)
        _claim_pools(client, mark)
    mark.facts.traced(in_sight=library.hooked and mark.facts.era == library.era)


# Birth


def _init(library: Library, kind: str) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  (it is that method)
            started_at = now()
            try:
                original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
            _built(library, kind, self, started_at, kwargs)

        return __init__

    return make


@guard("httpx.client")
def _built(library: Library, kind: str, client: Any, started_at: float, options: dict[str, Any]) -> None:
    if clients.built_within(clients.mark_of(client), started_at):
        return
    site = clients.construction_site(client)
    caller = sys._getframe(3).f_code  # of this body's guard's wrapper's caller
    if caller.co_filename == library.api_file:
        # httpx.stream() is entered through contextlib, which then is the outermost frame of the libraries.
        entry = (
            site.entry if site.entry is not None and site.entry.co_filename == library.api_file else caller
        )
        kind = f"{library.name}.{entry.co_name}"
    mark = clients.built(client, kind, library.era, started_at, site)
    set_mark(client, mark)
    pools = _claim_pools(client, mark)
    verify = options.get("verify", True)
    if isinstance(verify, bool | str) and options.get("transport") is None and not options.get("mounts"):
        # Its own contexts need not be compared: they do what the options say.
        identity = mark.facts.identity
        identity.is_set_up("tls", verify, options.get("cert"), options.get("trust_env", True))
        for pool in pools:
            identity.knows("tls", pool)


def _mark_of(library: Library, client: Any) -> ClientMark:
    mark = clients.mark_of(client)
    if mark is None:
        mark = clients.adopted(client, _kind(library, client), library.era)
        set_mark(client, mark)
        _claim_pools(client, mark)
    return mark


def _kind(library: Library, client: Any) -> str:
    return f"{library.name}.{'AsyncClient' if hasattr(client, 'aclose') else 'Client'}"


def _pools_of(client: Any) -> list[Any]:
    """The httpcore pools below a client's transports: mounted ones, and those that other transports wrap."""
    waiting = [getattr(client, "_transport", None), *getattr(client, "_mounts", {}).values()]
    pools: list[Any] = []
    seen: set[int] = set()
    while waiting and len(seen) < _TRANSPORTS_SEARCHED:
        transport = waiting.pop(0)
        if id(transport) in seen:
            continue
        seen.add(id(transport))
        for one in list(getattr(transport, "__dict__", {}).values()):
            if _handles_requests(type(one)):
                (pools if hasattr(type(one), "create_connection") else waiting).append(one)
    return pools


def _handles_requests(cls: type) -> bool:
    return hasattr(cls, "handle_request") or hasattr(cls, "handle_async_request")


def _claim_pools(client: Any, mark: ClientMark) -> list[Any]:
    pools = _pools_of(client)
    for pool in pools:
        pool_state(pool).belongs_to(mark.facts)
    return pools


# Use


@guard("httpx.send")
def _call_begins(library: Library, client: Any, kwargs: Any) -> Call | None:
    mark: ClientMark | None = mark_on(client)
    if mark is None or mark.facts.era != library.era or not mark.facts.identity.settled:
        if suppressed():
            return None
        mark = _mark_of(library, client)
        mark.facts.current(library.era)
        if not mark.facts.identity.calls:
            _note_settings(client, mark, kwargs.get("auth"))
    facts = mark.facts
    young = None if facts.identity.settled else facts
    return Call(id(client), facts.current(library.era).id, callsite.user(3, True), young)


def _note_settings(client: Any, mark: ClientMark, auth: Any) -> None:
    """They may be set after the client was built, or come with the call; what it sends is seen on the wire."""
    if type(auth).__name__ == "UseClientDefault":
        auth = client.auth
    if type(auth).__module__.endswith("._auth"):  # httpx's own: what it does is seen in what is sent
        auth = getattr(auth, "_func", None)
    mark.facts.identity.is_set_up(
        "client", str(client.base_url), str(client.params), client.event_hooks, auth and serial_of(auth)
    )


def _send(library: Library) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = _call_begins(library, self, kwargs)
            before = CURRENT_CALL.get()
            CURRENT_CALL.set(call)
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
            finally:
                CURRENT_CALL.set(before)

        return send

    return make


def _async_send(library: Library) -> Callable[..., Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
            call = _call_begins(library, self, kwargs)
            before = CURRENT_CALL.get()
            CURRENT_CALL.set(call)
            try:
                return await original(self, *args, **kwargs)
            except BaseException as error:
                hide_frame(error)
                raise
            finally:
                CURRENT_CALL.set(before)

        return send

    return make


# Close


@guard("httpx.close")
def _closed(client: Any) -> None:
    mark = clients.mark_of(client)
    if mark is not None:
        mark.closed()


def _close(original: Callable[..., Any]) -> Callable[..., Any]:
    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            _closed(self)

    return close


def _async_close(original: Callable[..., Any]) -> Callable[..., Any]:
    async def aclose(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        except BaseException as error:
            hide_frame(error)
            raise
        finally:
            _closed(self)

    return aclose
