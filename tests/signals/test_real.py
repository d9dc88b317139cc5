"""requests, urllib3, httpx and httpx2 on loopback, all signals together, compared with what the server saw."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
from typing import Any

import httpx
import pytest
import requests
import urllib3
from opentelemetry import context
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import poolscope
from poolscope.signals import Signals
from poolscope.signals.options import NAMES
from tests.signals.telemetry import Telemetry


def with_requests(urls):
    with requests.Session() as session:
        return [session.get(url).status_code for url in urls]


def with_urllib3(urls):
    with urllib3.PoolManager() as manager:
        return [manager.request("GET", url).status for url in urls]


def with_httpx(urls, library="httpx"):
    with importlib.import_module(library).Client(follow_redirects=True, trust_env=False) as client:
        return [client.get(url).status_code for url in urls]


def with_httpx2(urls):
    return with_httpx(urls, "httpx2")


def with_async_httpx(urls):
    import httpx

    async def fetch():
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as client:
            return [(await client.get(url)).status_code for url in urls]

    return asyncio.run(fetch())


CLIENTS = [with_requests, with_urllib3, with_httpx, with_httpx2, with_async_httpx]


@pytest.fixture(params=CLIENTS, ids=lambda client: client.__name__)
def fetch(request):
    return request.param


def test_spans_agree_with_the_server(fetch, telemetry, server) -> None:
    with telemetry.instrumented():
        assert fetch([server.url("/a"), server.url("/404"), server.url("/b")]) == [200, 404, 200]
        first, second, third = telemetry.requests
        assert [span.attributes["http.response.status_code"] for span in telemetry.requests] == [
            200,
            404,
            200,
        ]
        assert [span.attributes["poolscope.connection.request_number"] for span in telemetry.requests] == [
            1,
            2,
            3,
        ]
        assert [span.attributes["poolscope.connection.reused"] for span in telemetry.requests] == [
            False,
            True,
            True,
        ]
        assert len({span.attributes["poolscope.connection.id"] for span in telemetry.requests}) == 1
        assert first.attributes["network.peer.address"] == "127.0.0.1"
        assert first.attributes["network.peer.port"] == server.port
        (setup,) = telemetry.named("HTTP connection_setup")
        assert setup.parent == first.context
        assert setup.attributes["poolscope.connection.id"] == first.attributes["poolscope.connection.id"]
        assert setup.attributes["code.file.path"] == __file__
        assert setup.attributes["code.line.number"] > 0
        (connect,) = telemetry.named("socket connect")
        assert connect.parent == setup.context
        assert (
            first.start_time <= setup.start_time <= connect.start_time <= connect.end_time <= setup.end_time
        )
        assert setup.end_time <= first.end_time
        assert not first.links
        assert [[link.context for link in span.links] for span in (second, third)] == [[setup.context]] * 2
    assert server.traceparents == [
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"
        for span in telemetry.requests
    ]


@pytest.mark.parametrize("name", ["traceparent", "TraceParent"])
def test_a_header_of_the_programs_own_is_replaced_in_any_letters(telemetry, server, name: str) -> None:
    own = {name: "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "x-other": "kept"}
    in_bytes: Any = {key.encode(): value for key, value in own.items()}
    with telemetry.instrumented(), urllib3.PoolManager() as pools, httpx.Client() as client:
        pools.request("GET", server.url(), headers=own)
        pools.request("GET", server.url(), headers=in_bytes)
        pools.request("GET", server.url(), headers=urllib3.HTTPHeaderDict(own))
        requests.get(server.url(), headers=own)
        client.get(server.url(), headers=own)
    spans = [f"{span.context.span_id:016x}" for span in telemetry.requests]
    assert [parent.split("-")[2] for parent in server.traceparents] == spans
    assert [headers["x-other"] for headers in server.headers] == ["kept"] * 5
    assert name in own


def test_metrics_agree_with_the_server(fetch, telemetry, server) -> None:
    with telemetry.instrumented(events="all"):
        fetch([server.url("/a"), server.url("/404"), server.url("/b")])
        fetch([server.url("/a")])
        assert telemetry.total("poolscope.connections.opened") == 2
        assert (
            telemetry.total(
                "poolscope.connections.closed", poolscope__connection__close_reason="client_close"
            )
            == 2
        )
        assert telemetry.total("poolscope.connections.closed") == 2
        assert telemetry.total("poolscope.requests", poolscope__connection__reused=True) == 2
        assert telemetry.total("poolscope.requests", poolscope__connection__reused=False) == 2
        assert telemetry.total("http.client.request.duration", server__port=server.port) == 4
        assert telemetry.total("http.client.request.duration", error__type="404") == 1
        assert telemetry.total("http.client.connection.duration") == 2
        assert telemetry.total("poolscope.connection.setup.duration", poolscope__setup__phase="total") == 2
        assert telemetry.total("poolscope.facts.dropped") == 0
        assert telemetry.points("poolscope.hooks.disabled") == []
    assert len(telemetry.events("poolscope.connection.closed")) == 2


def test_each_hop_of_a_redirect_is_a_sibling(fetch, telemetry, server) -> None:
    with telemetry.instrumented(), telemetry.tracer.start_as_current_span("work") as outer:
        assert fetch([server.url("/redirect")]) == [200]
    first, second = telemetry.requests
    assert first.parent == second.parent == outer.get_span_context()
    assert "http.request.resend_count" not in first.attributes
    assert second.attributes["http.request.resend_count"] == 1
    assert server.traceparents[0] != server.traceparents[1]


def test_nobody_listens(fetch, telemetry, server) -> None:
    with telemetry.instrumented():
        token = context.attach(context.set_value("suppress_instrumentation", True))
        try:
            fetch([server.url("/a")])
        finally:
            context.detach(token)
        assert telemetry.total("poolscope.connections.opened") == 0
    assert telemetry.spans == []
    assert server.traceparents == [None]


def test_refused(fetch, telemetry, server) -> None:
    with telemetry.instrumented():
        with pytest.raises(Exception, match=r"refused|attempts failed|Max retries"):
            fetch(["http://127.0.0.1:1/"])
        spans = telemetry.requests
        assert spans
        assert {span.status.status_code.name for span in spans} == {"ERROR"}
        assert all(re.fullmatch(r"(\w+\.)*\w+", span.attributes["error.type"]) for span in spans)
        setups = telemetry.named("HTTP connection_setup")
        assert {setup.parent.span_id for setup in setups} == {span.context.span_id for span in spans}
        assert telemetry.total("poolscope.connections.failed", poolscope__setup__phase="connect") == len(
            spans
        )
        assert telemetry.total("http.client.request.duration", server__port=1) == len(spans)


def test_unsampled(fetch, server) -> None:
    telemetry = Telemetry(ALWAYS_OFF)
    with telemetry.instrumented():
        fetch([server.url("/a"), server.url("/b")])
        (point,) = telemetry.points("http.client.request.duration")
        assert point.count == 2
        assert not point.exemplars
    assert telemetry.spans == []
    assert all(int(header.split("-")[3], 16) & 1 == 0 for header in server.traceparents)


def test_excluded_urls(fetch, telemetry, server) -> None:
    with telemetry.instrumented(excluded_urls="/health,other"):
        fetch([server.url("/health"), server.url("/a")])
        assert telemetry.total("http.client.request.duration") == 1
        assert telemetry.total("poolscope.connections.opened") == 1
    (span,) = telemetry.requests
    assert span.attributes["url.full"] == server.url("/a")
    assert server.traceparents[0] is None


def test_user_hooks_get_the_same_objects_from_every_library(fetch, telemetry, server) -> None:
    seen = []

    def on_request(span, request):
        span.set_attribute("seen", True)

    def on_response(span, request, response):
        seen.append((span.get_span_context().span_id, request, response))

    with telemetry.instrumented(request_hook=on_request, response_hook=on_response):
        fetch([server.url("/a")])
    (span,) = telemetry.requests
    assert span.attributes["seen"] is True
    ((span_id, request, response),) = seen
    assert span_id == span.context.span_id
    assert (request.method, request.url) == ("GET", server.url("/a"))
    assert isinstance(request.headers, dict)
    assert (response.status, int(response.headers["content-length"]) > 0) == (200, True)
    assert request.raw is not None
    assert response.raw is not None


def test_without_an_sdk_nothing_is_sent(fetch, server) -> None:
    poolscope.instrument()
    try:
        fetch([server.url("/a")])
    finally:
        poolscope.uninstrument()
    assert server.traceparents == [None]


def test_every_setting_of_the_signals_is_an_option_of_instrument() -> None:
    options = inspect.signature(poolscope.instrument).parameters
    settings = inspect.signature(Signals).parameters
    assert {*settings, *NAMES} - {"findings", "apart", "settings"} == set(options) - {"signals"}


def test_bad_options_are_reported_at_once() -> None:
    instrument: Any = poolscope.instrument  # as a program without type checks calls it
    with pytest.raises(ValueError, match="not a regular expression"):
        instrument(excluded_urls="(")
    with pytest.raises(TypeError, match="request_hook is not callable"):
        instrument(request_hook=3)
    with pytest.raises(TypeError, match="comma-separated"):
        instrument(excluded_urls=["a"])
    with pytest.raises(TypeError, match=r"^instrument\(\) got an unexpected keyword argument 'tracer'"):
        instrument(tracer=None)
    assert not poolscope.instrumentor.INSTRUMENTOR.active
