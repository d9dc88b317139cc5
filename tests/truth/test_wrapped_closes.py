"""Another tool has wrapped a library's close after us: we still see the caller, past the wrapper."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import urllib3.connection
import wrapt
from aiohttp.client_proto import ResponseHandler
from httpcore._backends.anyio import AnyIOStream
from httpcore._backends.sync import SyncStream

from tests.servers import in_thread
from tests.truth.watching import ends, watch

pytestmark = pytest.mark.load

CLOSES: dict[str, tuple[type, str]] = {
    "urllib3": (urllib3.connection.HTTPConnection, "close"),
    "requests": (urllib3.connection.HTTPConnection, "close"),
    "httpx-sync": (SyncStream, "close"),
    "httpx-asyncio": (AnyIOStream, "aclose"),
    "aiohttp": (ResponseHandler, "close"),
}
CALLED: list[object] = []


def nameless(method: Any) -> Any:
    """A closure that hides what it wraps."""
    if inspect.iscoroutinefunction(method):

        async def await_it(*args: Any) -> Any:
            CALLED.append(args[0])
            return await method(*args)

        return await_it

    def call_it(*args: Any) -> Any:
        CALLED.append(args[0])
        return method(*args)

    return call_it


def twice(method: Any) -> Any:
    """Two decorators that name what they wrap, as is usual."""
    inner = functools.wraps(method)(nameless(method))
    return functools.wraps(inner)(nameless(inner))


def by_wrapt(method: Any) -> Any:
    def around(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        CALLED.append(instance)
        return wrapped(*args, **kwargs)

    return wrapt.FunctionWrapper(method, around)


@pytest.mark.parametrize("name", CLOSES)
@pytest.mark.parametrize("wrapper", [nameless, twice, by_wrapt])
def test_who_closes_is_seen_past_the_wrapper(
    name: str, wrapper: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, method = CLOSES[name]
    CALLED.clear()
    with in_thread() as server, watch(name) as (probe, captured):
        assert probe.get(server.url("/fixed/1")) is None
        with monkeypatch.context() as patch:
            patch.setattr(owner, method, wrapper(vars(owner)[method]))
            probe.leave(probe.open(server.url("/size/4000000/2")))
            assert probe.get(server.url("/fixed/3")) is None
            probe.close()
    assert CALLED
    assert ends(captured) == [("response_not_read", "client"), ("client_close", "client")]


@pytest.mark.parametrize("wrapper", [nameless, twice, by_wrapt])
def test_a_close_by_the_program_stays_the_programs(
    wrapper: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_thread() as server, watch("urllib3") as (_, captured):
        with urllib3.HTTPConnectionPool("127.0.0.1", server.port) as pool:
            pool.request("GET", "/fixed/1")
            with monkeypatch.context() as patch:
                there = urllib3.connection.HTTPConnection.close
                patch.setattr(urllib3.connection.HTTPConnection, "close", wrapper(there))
                connection = pool._get_conn()
                connection.close()
    assert ends(captured) == [("program_close", "client")]
