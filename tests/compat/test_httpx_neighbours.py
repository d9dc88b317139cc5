"""Packages built on httpx behave the same, and we see them where they really use the network."""

from __future__ import annotations

import asyncio
import copy
import pickle
from pathlib import Path

import httpx
import pytest

import poolscope
from poolscope.testing import capture
from tests.compat.alike import alike
from tests.compat.conftest import Server


def test_hishel_for_httpx(server: Server, tmp_path: Path) -> None:
    from hishel import SqliteStorage
    from hishel.httpx import CacheClient

    runs = iter(range(10))

    def scenario() -> list[str]:
        storage = SqliteStorage(database_path=tmp_path / f"{next(runs)}.db")
        with CacheClient(storage=storage) as client:
            return [client.get(server.url("/cached")).text for _ in range(3)]

    seen = alike(scenario)
    assert [one.status for one in seen.exchanges] == [200], "what came from the cache used no connection"


def test_respx() -> None:
    import respx

    def scenario() -> list[object]:
        with respx.mock:
            route = respx.get("http://nowhere.example/a").mock(
                return_value=httpx.Response(201, text="mocked")
            )
            respx.get("http://nowhere.example/broken").mock(side_effect=httpx.ConnectTimeout)
            with pytest.raises(httpx.ConnectTimeout):
                httpx.get("http://nowhere.example/broken")
            answer = httpx.get("http://nowhere.example/a")
            return [answer.status_code, answer.text, route.call_count]

    seen = alike(scenario)
    assert seen.connections == []


def test_instrument_while_respx_is_active(server: Server) -> None:
    import respx

    with respx.mock(assert_all_called=False) as mock:
        mock.get("http://nowhere.example/a").mock(return_value=httpx.Response(200, text="mocked"))
        poolscope.instrument(signals=False)
        try:
            assert httpx.get("http://nowhere.example/a").text == "mocked"
        finally:
            poolscope.uninstrument()
        assert httpx.get("http://nowhere.example/a").text == "mocked"
    # respx has restored what it found; nothing of ours may be in the way of the next capture.
    with capture() as seen, httpx.Client() as client:
        assert client.get(server.url("/plain")).text == "plain"
    # The mocked call's exchange, which respx kept alive, is collected in here: an exchange without a connection.
    assert [one.request_number for one in seen.exchanges if one.connection] == [1]


def test_respx_starts_and_ends_while_instrumented(server: Server) -> None:
    import respx

    with capture() as seen:
        with respx.mock:
            respx.get("http://nowhere.example/a").mock(return_value=httpx.Response(200, text="mocked"))
            assert httpx.get("http://nowhere.example/a").text == "mocked"
        assert httpx.get(server.url("/plain")).text == "plain"
    assert len(seen.connections) == 1
    assert [one.url for one in seen.exchanges if one.connection] == [server.url("/plain")]


@pytest.mark.parametrize("traced", ["client", "transport"])
def test_respx_where_only_one_client_is_observed(traced: str, server: Server) -> None:
    import respx

    if traced == "client":
        client = poolscope.trace(httpx.Client(trust_env=False))
    else:
        client = httpx.Client(transport=poolscope.HTTPTransport())
    try:
        with client:
            statuses = [client.get(server.url("/x")).status_code]
            with respx.mock(using="httpcore") as mock:
                mock.get(server.url("/x")).respond(299)
                statuses.append(client.get(server.url("/x")).status_code)
            statuses.append(client.get(server.url("/x")).status_code)
    finally:
        poolscope.uninstrument()
    assert statuses == [200, 299, 200]


def test_pytest_httpx(httpx_mock) -> None:
    httpx_mock.add_response(url="http://nowhere.example/a", text="mocked", is_reusable=True)
    httpx_mock.add_exception(httpx.ReadTimeout("slow"), url="http://nowhere.example/broken", is_reusable=True)

    def scenario() -> str:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get("http://nowhere.example/broken")
        return httpx.get("http://nowhere.example/a").text

    seen = alike(scenario)
    assert seen.connections == []


def test_mock_transport() -> None:
    def scenario() -> list[object]:
        with httpx.Client(
            transport=httpx.MockTransport(lambda request: httpx.Response(200, text="ok"))
        ) as client:
            return [client.get("http://nowhere.example/").text for _ in range(2)]

    seen = alike(scenario)
    assert seen.connections == []


def test_asgi_transport() -> None:
    async def application(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    async def fetch() -> str:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return (await client.get("/")).text

    seen = alike(lambda: asyncio.run(fetch()))
    assert seen.connections == []


def test_wsgi_transport() -> None:
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"inside"]

    def scenario() -> str:
        with httpx.Client(transport=httpx.WSGITransport(app=application), base_url="http://app") as client:
            return client.get("/").text

    assert alike(scenario).connections == []


def test_a_custom_transport(server: Server) -> None:
    class Counting(httpx.BaseTransport):
        def __init__(self) -> None:
            self.count = 0
            self.wrapped = httpx.HTTPTransport()

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.count += 1
            return self.wrapped.handle_request(request)

        def close(self) -> None:
            self.wrapped.close()

    def scenario() -> int:
        transport = Counting()
        with httpx.Client(transport=transport) as client:
            client.get(server.url("/redirect"), follow_redirects=True)
        return transport.count

    seen = alike(scenario)
    assert [one.relation for one in seen.exchanges] == [None, "redirect"]
    assert len(seen.connections) == 1


@pytest.mark.parametrize(
    "make", [copy.copy, copy.deepcopy, lambda client: pickle.loads(pickle.dumps(client))]
)
def test_a_client_can_be_copied_as_before(make, server: Server) -> None:
    def scenario() -> str:
        with httpx.Client() as client:
            client.get(server.url("/plain"))
            return type(make(client)).__qualname__

    alike(scenario)


def test_responses_pickle_the_same(server: Server) -> None:
    def scenario() -> list[object]:
        with httpx.Client() as client:
            answer = client.get(server.url("/plain"))
            thawed = pickle.loads(pickle.dumps(answer))
            return [
                thawed.text,
                sorted(vars(answer)),
                sorted(answer.extensions),
                repr(answer),
                repr(client).partition(" at ")[0],
            ]

    alike(scenario)


def test_reprs_of_pool_and_connections_are_the_same(server: Server) -> None:
    def scenario() -> list[str]:
        with httpx.Client() as client:
            with client.stream("GET", server.url("/plain")) as answer:
                pool = vars(client._transport)["_pool"]
                shown = [
                    repr(pool),
                    *map(repr, pool.connections),
                    *(repr(type(one)) for one in pool.connections),
                ]
                answer.read()
            return [*shown, repr(pool), repr(type(answer.stream)), repr(type(client._transport))]

    alike(scenario)


@pytest.mark.parametrize(
    ("url", "phase"), [("http://127.0.0.1:1/", "connect"), ("http://name.invalid/", "dns")]
)
@pytest.mark.parametrize("style", ["sync", "async"])
def test_failures_look_the_same(url: str, phase: str, style: str, no_such_name: None) -> None:
    async def fetch() -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).text

    def scenario() -> str:
        if style == "sync":
            with httpx.Client() as client:
                return client.get(url).text
        return asyncio.run(fetch())

    seen = alike(scenario)
    (exchange,) = seen.exchanges
    assert exchange.connection is None
    assert exchange.error is not None and exchange.error.endswith("ConnectError")
    (connection,) = seen.connections
    assert connection.opened_at is None
    assert connection.failed_phase == phase
