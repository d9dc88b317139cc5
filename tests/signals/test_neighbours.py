"""Beside instrumentation of other libraries: aiohttp's, Logfire's, and spans around calls to language models."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.trace import SpanKind

from poolscope.testing import capture


@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_a_span_around_a_call_to_a_model_is_no_http_span(telemetry, server, library: str) -> None:
    about = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "some-model",
        "server.address": "127.0.0.1",
        "server.port": server.port,
    }
    with (
        telemetry.instrumented(),
        telemetry.tracer.start_as_current_span(
            "chat some-model", kind=SpanKind.CLIENT, attributes=about
        ) as chat,
    ):
        (httpx.get(server.url(), trust_env=False) if library == "httpx" else requests.get(server.url()))
    request, outer = telemetry.named("GET")[0], telemetry.named("chat")[0]
    assert request.parent.span_id == chat.get_span_context().span_id
    assert request.kind is SpanKind.CLIENT
    assert dict(outer.attributes) == about
    assert outer.links == ()
    assert telemetry.total("http.client.request.duration") == 1
    assert [header.split("-")[2] for header in server.traceparents] == [f"{request.context.span_id:016x}"]


def test_aiohttps_spans_stay_its_own(telemetry, server) -> None:
    async def both() -> None:
        config = create_trace_config(tracer_provider=telemetry.tracer_provider)
        async with (
            aiohttp.ClientSession(trace_configs=[config]) as session,
            httpx.AsyncClient(trust_env=False) as client,
        ):
            for _ in range(2):
                async with session.get(server.url("/aiohttp")) as answer:
                    await answer.text()
                    await client.get(server.url("/within"))
                await client.get(server.url("/after"))

    with capture() as captured, telemetry.instrumented():
        asyncio.run(both())
        assert telemetry.total("poolscope.connections.opened") == 2
    theirs = [span for span in telemetry.requests if "aiohttp" in span.instrumentation_scope.name]
    ours = [span for span in telemetry.requests if span.instrumentation_scope.name == "poolscope"]
    assert len(theirs) == 2
    assert [span.attributes["poolscope.connection.request_number"] for span in theirs] == [1, 2]
    assert [span.attributes["url.full"].rpartition("/")[2] for span in ours] == ["within", "after"] * 2
    assert len(captured.connections) == 2
    assert len(server.traceparents) == len({*server.traceparents}) == 6


async def _nested(server: Any, telemetry: Any) -> None:
    """A call with httpx inside aiohttp's span for the same server."""
    config = create_trace_config(tracer_provider=telemetry.tracer_provider)

    async def ask(*_: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(server.url("/inside"))

    config.on_request_headers_sent.append(ask)
    async with (
        aiohttp.ClientSession(trace_configs=[config]) as session,
        session.get(server.url("/aiohttp")) as answer,
    ):
        await answer.text()


def test_a_call_inside_aiohttps_own_is_not_lost(telemetry, server) -> None:
    with telemetry.instrumented():
        asyncio.run(_nested(server, telemetry))
        assert telemetry.total("poolscope.requests") == 2
        assert telemetry.total("http.client.request.duration") == 2
    assert len(server.headers) == 2


LOGFIRE = """
    import json, sys
    import logfire
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    import poolscope

    library, order, url = sys.argv[1:4]
    exporter = InMemorySpanExporter()
    logfire.configure(
        send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(exporter)],
        inspect_arguments=False,
    )
    module = __import__(library)
    steps = [getattr(logfire, f"instrument_{library}"), poolscope.instrument]
    for step in steps if order == "theirs first" else steps[::-1]:
        if order != "alone" or step is poolscope.instrument:
            step()
    client = module.Session() if library == "requests" else module.Client(trust_env=False)
    with client, logfire.span("work {name}", name="here"):
        for _ in range(3):
            client.get(url)
    logfire.force_flush()
    spans = [
        (span.name, span.kind.name, span.instrumentation_scope.name, dict(span.attributes), len(span.links))
        for span in exporter.get_finished_spans()
        if (span.attributes or {}).get("logfire.span_type") != "pending_span"
    ]
    print(json.dumps(spans, default=str))
    poolscope.uninstrument()
"""


@pytest.mark.processes
@pytest.mark.parametrize("order", ["theirs first", "ours first", "alone"])
@pytest.mark.parametrize("library", ["httpx", "requests"])
def test_logfire(server, library: str, order: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOGFIRE), library, order, server.url()],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    spans = json.loads(done.stdout.splitlines()[-1])
    requests = [span for span in spans if span[1] == "CLIENT"]
    assert len(requests) == 3
    assert len(server.headers) == 3
    for number, (_, _, scope, about, links) in enumerate(requests, 1):
        assert (scope == "poolscope") == (order == "alone")
        assert about["poolscope.connection.request_number"] == number
        assert about["poolscope.connection.reused"] is (number > 1)
        assert links == (number > 1)
    (setup,) = [span for span in spans if span[0].startswith("HTTP connection_setup")]
    assert setup[2] == "poolscope"
    (work,) = [span for span in spans if span[0].startswith("work")]
    assert not [name for name in work[3] if name.startswith("poolscope")]
