"""What counts for which route: in records, in metrics, and in answers that are produced while they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from io import BytesIO, StringIO
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper

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


def test_an_answer_produced_while_it_is_sent_is_part_of_the_request(url: str) -> None:
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


def test_parallel_requests_of_an_event_loop_are_distinguished(url: str) -> None:
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


def test_a_request_is_not_lost_because_the_program_finds_no_route(url: str) -> None:
    def application(_: Any, start_response: Any) -> list[bytes]:
        requests.get(url)
        start_response("200 OK", [])
        return [b"ok"]

    served_by = WSGI(application, route=lambda environ: environ["of.no.such.name"])
    with capture() as seen:
        for _ in range(5):  # a hook that fails three times is switched off
            assert call(served_by) == b"ok"
    assert [each.route for each in seen.exchanges] == ["GET (no route)"] * 5


def test_other_messages_pass_through() -> None:
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


class Pieces:
    """A body with a length, as some frameworks produce it."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)


def test_a_server_asks_for_the_length_of_a_body_as_it_does_without_us() -> None:
    def answer_to(application: Any) -> bytes:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_PROTOCOL": "HTTP/1.1"}
        sent, errors = BytesIO(), StringIO()
        SimpleHandler(BytesIO(), sent, errors, environ).run(application)
        return b"".join(line for line in sent.getvalue().splitlines(True) if not line.startswith(b"Date:"))

    def application(_: Any, start_response: Any) -> Pieces:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Pieces(b"hello")

    def endless(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"hello"])

    for each in (application, endless):
        assert answer_to(WSGI(each)) == answer_to(each)
    assert b"Content-Length: 5" in answer_to(WSGI(application))
    body: Any = WSGI(endless)({"REQUEST_METHOD": "GET"}, lambda *_: None)
    assert not hasattr(body, "__len__"), "servers also ask by hasattr"


def test_a_file_that_the_server_sends_itself_is_unchanged() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](BytesIO(b"a file"))

    environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper}
    assert type(WSGI(application)(environ, lambda *_: None)) is FileWrapper


@pytest.mark.parametrize(
    ("status", "headers", "body", "method"),
    [
        ("304 Not Modified", {}, b"", "GET"),
        ("204 No Content", {}, b"", "GET"),
        ("206 Partial Content", {"Content-Range": "bytes 0-1/10"}, b"ab", "GET"),
        ("200 OK", {"Content-Encoding": "gzip"}, b"packed", "GET"),
        ("200 OK", {"Content-Length": "100"}, b"", "HEAD"),
    ],
)
def test_an_answer_that_cannot_hold_a_report_stays_as_it_was(
    status: str, headers: dict[str, str], body: bytes, method: str
) -> None:
    given = [("Content-Type", "text/html"), *headers.items()]

    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response(status, given)
        return [body]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in given]
        await send({"type": "http.response.start", "status": int(status[:3]), "headers": raw})
        await send({"type": "http.response.body", "body": body})

    started: list[Any] = []
    wrapped: Any = WSGI(application, allow_debug=lambda _: True)
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/", "QUERY_STRING": "poolscope"}
    assert b"".join(wrapped(environ, lambda *start: started.append(start))) == body
    assert started == [(status, given)]

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asked: Any = {"type": "http", "method": method, "path": "/", "query_string": b"poolscope"}
    asgi: Any = ASGI(app, allow_debug=lambda _: True)
    asyncio.run(asgi(asked, None, send))
    assert sent[0]["headers"] == [(name.lower().encode(), value.encode()) for name, value in given]
    assert b"".join(message["body"] for message in sent[1:]) == body


@pytest.mark.parametrize("charset", ["utf-16-le", "iso-8859-1", "UTF-8", '"utf-8"'])
def test_a_report_has_the_charset_of_its_answer(charset: str) -> None:
    name = charset.strip('"')

    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", f"text/html; charset={charset}")])
        return ["<p>é</p>".encode(name)]

    body = call(WSGI(application, allow_debug=lambda _: True), QUERY_STRING="poolscope").decode(name)
    assert body.startswith("<p>é</p>\n<pre>poolscope  no ")


def test_a_file_is_held_back_like_any_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
        )
        if "http.response.pathsend" in scope["extensions"]:
            await send({"type": "http.response.pathsend", "path": __file__})
        else:
            await send({"type": "http.response.body", "body": b"a file"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asked: Any = {
        "type": "http", "method": "GET", "path": "/", "query_string": b"poolscope",
        "extensions": {"http.response.pathsend": {}},
    }  # fmt: skip
    asgi: Any = ASGI(app, allow_debug=lambda _: True)
    asyncio.run(asgi(asked, None, send))
    assert sent[1]["body"].startswith(b"a file\npoolscope  no ")


def test_the_debug_page_is_closed_unless_it_is_allowed() -> None:
    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b"theirs"]

    assert call(WSGI(application), PATH_INFO="/-/poolscope") == b"theirs"
    assert call(WSGI(application, allow_debug=lambda _: False), PATH_INFO="/-/poolscope") == b"theirs"
    assert b"<title>poolscope</title>" in call(
        WSGI(application, allow_debug=lambda _: True), PATH_INFO="/-/poolscope"
    )
