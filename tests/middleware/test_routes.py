"""What counts for which route: in records, in metrics, in answers that are made while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests

from poolscope.middleware import ASGI, WSGI
from poolscope.story import served
from poolscope.story.served import Served
from poolscope.testing import capture
from tests.servers import in_thread
from tests.signals.telemetry import Telemetry


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with in_thread() as running:
        yield running.url("/fixed/")


@pytest.fixture(autouse=True)
def no_routes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_routes", {})


def call(application: Any, method: str = "GET", **environ: str) -> bytes:
    return b"".join(application({"REQUEST_METHOD": method, "PATH_INFO": "/x", **environ}, lambda *_: None))


def test_an_answer_that_is_made_while_it_is_sent_is_part_of_the_request(url: str) -> None:
    def application(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        requests.get(url)
        yield b"first"
        requests.get(url)
        yield b"second"

    with capture() as seen:
        assert call(WSGI(application, route=lambda _: "/stream")) == b"firstsecond"
        requests.get(url)
    assert [(each.route, each.served_call) for each in seen.exchanges] == [
        ("GET /stream", 1), ("GET /stream", 2), (None, None),
    ]  # fmt: skip
    assert seen.exchanges[0].served == seen.exchanges[1].served is not None


def test_parallel_requests_of_an_event_loop_are_told_apart(url: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with httpx.AsyncClient() as client:
            for _ in range(2):
                await client.get(url)

    wrapped: Any = ASGI(app, route=lambda scope: scope["path"])

    async def both() -> None:
        await asyncio.gather(
            *(wrapped({"type": "http", "method": "GET", "path": path}, None, None) for path in ("/a", "/b"))
        )

    with capture() as seen:
        asyncio.run(both())
    routes = sorted((each.route, each.served_call) for each in seen.exchanges)
    assert routes == [("GET /a", 1), ("GET /a", 2), ("GET /b", 1), ("GET /b", 2)]
    assert len({each.served for each in seen.exchanges}) == 2


def test_what_is_no_request_passes_through() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    scope = {"type": "lifespan"}
    wrapped: Any = ASGI(app)
    asyncio.run(wrapped(scope, "receive", "send"))
    assert seen == [(scope, "receive", "send")]


def test_the_metric_has_the_route_and_stays_a_whole(url: str) -> None:
    def application(_: Any, start_response: Any) -> list[bytes]:
        requests.get(url)
        start_response("200 OK", [])
        return [b""]

    telemetry = Telemetry()
    with telemetry.instrumented():
        for _ in range(3):
            call(WSGI(application, route=lambda _: "/cart"))
        requests.get(url)
        points: Any = telemetry.readers[0].get_metrics_data()
    counts = {
        (point.attributes["poolscope.connection.reused"], point.attributes.get("poolscope.served.route")): point.value
        for resource in points.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "poolscope.requests"
        for point in metric.data.data_points
    }  # fmt: skip
    assert counts == {(False, "GET /cart"): 3, (False, None): 1, (True, None): 0}


def test_routes_are_bounded() -> None:
    routes = [Served("GET", f"/{number}".__str__).route for number in range(served.MOST + 5)]
    assert len(set(routes)) == served.MOST + 1
    assert routes[-1] == served.OTHER
    assert Served("GET", lambda: "/" + "long" * 100).route == served.OTHER
    assert Served("BREW", lambda: None).route in {"_OTHER (no route)", served.OTHER}


def test_a_debug_page_is_nobodys_unless_it_is_allowed() -> None:
    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b"theirs"]

    assert call(WSGI(application), PATH_INFO="/-/poolscope") == b"theirs"
    assert call(WSGI(application, allow_debug=lambda _: False), PATH_INFO="/-/poolscope") == b"theirs"
    assert b"<title>poolscope</title>" in call(
        WSGI(application, allow_debug=lambda _: True), PATH_INFO="/-/poolscope"
    )
