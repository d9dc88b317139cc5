"""Explicit transports and adapters, without a global patch and together with one; and OpenTelemetry's own way in."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import pickle
from importlib.metadata import entry_points

import httpx
import httpx2
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

import poolscope
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.queue import FACTS
from poolscope.story.door import ENTRANCE
from poolscope.testing import Capture


class Heard(Capture):
    """A capture that installs no hook."""

    def __enter__(self):
        FACTS.settle()
        INSTRUMENTOR.hold(self, hooks=False)
        FACTS.add_consumer(self.ledger.consume)
        return self


@pytest.fixture(autouse=True)
def silent_again():
    yield
    poolscope.uninstrument()
    poolscope.uninstrument()
    assert ENTRANCE.door is None
    assert not INSTRUMENTOR.active
    gc.collect()


def with_transport(urls):
    with httpx.Client(transport=poolscope.HTTPTransport()) as client:
        return [client.get(url).status_code for url in urls]


def with_httpx2_transport(urls):
    from poolscope.transports import HTTPTransport2

    with httpx2.Client(transport=HTTPTransport2()) as client:
        return [client.get(url).status_code for url in urls]


def with_async_transport(urls):
    async def fetch():
        async with httpx.AsyncClient(transport=poolscope.AsyncHTTPTransport()) as client:
            return [(await client.get(url)).status_code for url in urls]

    return asyncio.run(fetch())


def with_traced_client(urls):
    with httpx.Client(trust_env=False) as client:
        assert poolscope.trace(client) is client
        return [client.get(url).status_code for url in urls]


def with_adapter(urls):
    with requests.Session() as session:
        session.mount("http://", poolscope.HTTPAdapter())
        return [session.get(url).status_code for url in urls]


def with_traced_session(urls):
    with requests.Session() as session:
        poolscope.trace(session)
        return [session.get(url).status_code for url in urls]


def with_traced_manager(urls):
    with urllib3.PoolManager() as manager:
        poolscope.trace(manager)
        return [manager.request("GET", url).status for url in urls]


@pytest.fixture(
    params=[
        with_transport, with_httpx2_transport, with_async_transport, with_traced_client, with_adapter,
        with_traced_session, with_traced_manager,
    ],
    ids=lambda fetch: fetch.__name__,
)  # fmt: skip
def fetch(request):
    return request.param


def test_only_these_are_observed(fetch, server) -> None:
    plain = httpx.Client.send, urllib3.HTTPConnectionPool.urlopen
    with Heard() as heard:
        fetch([server.url("/a"), server.url("/b")])
        with httpx.Client(trust_env=False) as other:
            other.get(server.url("/unobserved"))
        with urllib3.PoolManager() as manager:
            manager.request("GET", server.url("/unobserved"))
    poolscope.uninstrument()
    assert (httpx.Client.send, urllib3.HTTPConnectionPool.urlopen) == plain
    assert [(e.request_number, e.reused, e.status) for e in heard.exchanges] == [
        (1, False, 200),
        (2, True, 200),
    ]
    (connection,) = heard.connections
    assert connection.close_reason == "client_close"


def test_together_with_the_global_hooks_nothing_is_counted_twice(fetch, telemetry, server) -> None:
    with telemetry.instrumented():
        fetch([server.url("/a"), server.url("/b")])
        assert len(telemetry.requests) == 2
        assert telemetry.total("poolscope.connections.opened") == 1
        assert telemetry.total("poolscope.connections.closed") == 1
        assert telemetry.total("http.client.request.duration") == 2
        (setup,) = telemetry.named("HTTP connection_setup")
        assert setup.parent == telemetry.requests[0].context


def test_the_explicit_ones_go_on_after_uninstrument(telemetry, server) -> None:
    with httpx.Client(transport=poolscope.HTTPTransport()) as client:
        with telemetry.instrumented():
            client.get(server.url())
        client.get(server.url())
        assert len(telemetry.requests) == 2
        poolscope.uninstrument()
        client.get(server.url())
        assert len(telemetry.requests) == 2


def test_unobserved_use_of_an_explicit_one_is_not_made_up(server) -> None:
    client = httpx.Client(transport=poolscope.HTTPTransport())
    client.get(server.url("/seen"))
    poolscope.uninstrument()
    client.get(server.url("/unseen"))
    with Capture() as captured:
        client.get(server.url("/seen-again"))
        client.get(server.url("/and-again"))
    client.close()
    assert [(x.request_number, x.reused) for x in captured.exchanges] == [(None, True), (None, True)]
    (connection,) = captured.connections
    assert (connection.opened_at, connection.requests) == (None, 2)


def test_an_adapter_survives_pickling_and_copying(server) -> None:
    adapter = pickle.loads(pickle.dumps(poolscope.HTTPAdapter(pool_maxsize=3)))
    assert type(adapter) is poolscope.HTTPAdapter
    assert adapter._pool_maxsize == 3
    for each in (adapter, copy.copy(adapter)):
        with Heard() as heard, requests.Session() as session:
            session.mount("http://", each)
            session.get(server.url())
        assert len(heard.exchanges) == 1


def test_the_mixin_observes_a_custom_adapter(server) -> None:
    class Retrying(poolscope.AdapterMixin, HTTPAdapter):
        pass

    with Heard() as heard, requests.Session() as session:
        session.mount("http://", Retrying(max_retries=2))
        session.get(server.url())
    assert len(heard.exchanges) == 1


def test_trace_names_the_objects_it_accepts() -> None:
    with pytest.raises(TypeError, match=r"not object"):
        poolscope.trace(object())


def test_a_transport_looks_like_the_librarys() -> None:
    assert issubclass(poolscope.HTTPTransport, httpx.HTTPTransport)
    assert poolscope.HTTPTransport.__name__ == "HTTPTransport"
    assert poolscope.HTTPTransport is poolscope.HTTPTransport
    transports = importlib.import_module("poolscope.transports")
    with pytest.raises(AttributeError, match="no attribute 'Transport'"):
        _ = transports.Transport


def test_opentelemetrys_own_door(telemetry, server) -> None:
    from poolscope.otel import PoolscopeInstrumentor

    instrumentor = PoolscopeInstrumentor()
    instrumentor.instrument(**telemetry.providers, excluded_urls="/health")
    try:
        with httpx.Client(trust_env=False) as client:
            client.get(server.url("/health"))
            client.get(server.url("/a"))
    finally:
        instrumentor.uninstrument()
    assert [span.attributes["url.full"] for span in telemetry.requests] == [server.url("/a")]


def test_the_entry_point_names_that_door() -> None:
    found = [each for each in entry_points(group="opentelemetry_instrumentor") if each.name == "poolscope"]
    assert {each.value for each in found} == {"poolscope.otel:PoolscopeInstrumentor"}


def test_a_second_instrument_changes_nothing(telemetry, server) -> None:
    with telemetry.instrumented():
        requests.get(server.url("/a"), timeout=5)
        poolscope.instrument(**telemetry.providers, max_servers=1)
        requests.get(server.url("/b"), timeout=5)
        assert telemetry.total("http.client.request.duration") == 2
        assert telemetry.total("poolscope.requests") == 2
