"""Beside the official packages, in either order: one request span, one duration, and their span enriched."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

PROGRAM = r"""
import importlib, json, sys, threading, warnings
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry import trace, metrics
import poolscope

library, order, sampled = sys.argv[1:4]
names = {"requests": "Requests", "urllib3": "URLLib3", "httpx": "HTTPXClient", "httpx2": "HTTPX2Client",
         "aiohttp": "AioHttpClient"}
official = {"httpx2": "httpx", "aiohttp": "aiohttp_client"}.get(library, library)
instrumentor = getattr(importlib.import_module(f"opentelemetry.instrumentation.{official}"), names[library] + "Instrumentor")()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = []
    def do_GET(self):
        Handler.seen.append(self.headers.get_all("traceparent") or [])
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
exporter = InMemorySpanExporter()
provider = TracerProvider(sampler=sampling.ParentBased(sampling.ALWAYS_ON if sampled == "on" else sampling.ALWAYS_OFF))
provider.add_span_processor(SimpleSpanProcessor(exporter))
reader = InMemoryMetricReader()
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))

steps = {"official": instrumentor.instrument, "poolscope": poolscope.instrument}
for step in order.split(","):
    steps[step]()

url = f"http://127.0.0.1:{server.server_port}/"
module = importlib.import_module(library)
if library == "requests":
    with module.Session() as client:
        for _ in range(3):
            client.get(url)
elif library == "urllib3":
    with module.PoolManager() as client:
        for _ in range(3):
            client.request("GET", url)
elif library == "aiohttp":
    import asyncio

    async def ask():
        async with module.ClientSession() as client:
            for _ in range(3):
                async with client.get(url) as response:
                    await response.read()

    asyncio.run(ask())
else:
    with module.Client(trust_env=False) as client:
        for _ in range(3):
            client.get(url)

durations = {}
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                count = getattr(point, "count", getattr(point, "value", None))
                durations[metric.name] = durations.get(metric.name, 0) + count
from poolscope.story.hook import HOOKS
print(json.dumps({
    "spans": [(s.name, s.kind.name, s.instrumentation_scope.name, dict(s.attributes), len(s.links),
               s.context.span_id, s.parent and s.parent.span_id) for s in exporter.get_finished_spans()],
    "metrics": durations,
    "headers": Handler.seen,
    "failures": [repr(hook) for hook in HOOKS.values() if hook.failures],
}))
poolscope.uninstrument()
instrumentor.uninstrument()
"""


def run(library: str, order: str, opt_in: str = "", sampled: str = "on") -> dict:
    import json

    env = {**os.environ, "OTEL_SEMCONV_STABILITY_OPT_IN": opt_in}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, library, order, sampled],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["failures"] == []
    return outcome


OFFICIAL = {
    "requests": "requests",
    "urllib3": "urllib3",
    "httpx": "httpx",
    "httpx2": "httpx",
    "aiohttp": "aiohttp_client",
}
LIBRARIES = ["requests", "urllib3", "httpx", "httpx2", "aiohttp"]
ORDERS = ["official,poolscope", "poolscope,official"]


@pytest.mark.parametrize("opt_in", ["", "http", "http/dup"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_sampled(library: str, order: str, opt_in: str) -> None:
    outcome = run(library, order, opt_in)
    requests = [span for span in outcome["spans"] if span[1] == "CLIENT"]
    assert len(requests) == 3
    assert {scope for _, _, scope, *_ in requests} == {f"opentelemetry.instrumentation.{OFFICIAL[library]}"}
    for number, (_, _, _, about, links, *_) in enumerate(requests, 1):
        assert about["network.peer.address"] == "127.0.0.1"
        assert about["poolscope.connection.request_number"] == number
        assert about["poolscope.connection.reused"] is (number > 1)
        assert "poolscope.exchange.count" not in about
        assert links == (number > 1)
    (setup,) = [span for span in outcome["spans"] if span[0].startswith("HTTP connection_setup")]
    assert setup[6] == requests[0][5]
    assert outcome["metrics"]["http.client.request.duration"] == 3
    assert outcome["metrics"]["poolscope.connections.opened"] == 1
    assert [len(header) for header in outcome["headers"]] == [1, 1, 1]
    assert [int(header[0].split("-")[2], 16) for header in outcome["headers"]] == [
        span[5] for span in requests
    ]


@pytest.mark.parametrize(("order", "opt_in"), [(ORDERS[0], "http"), (ORDERS[1], "")])
@pytest.mark.parametrize("library", LIBRARIES)
def test_unsampled(library: str, order: str, opt_in: str) -> None:
    outcome = run(library, order, opt_in, "off")
    assert outcome["spans"] == []
    assert outcome["metrics"]["http.client.request.duration"] == 3
    assert [len(header) for header in outcome["headers"]] == [1, 1, 1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_alone(library: str) -> None:
    outcome = run(library, "poolscope")
    assert {span[2] for span in outcome["spans"]} == {"poolscope"}
    assert outcome["metrics"]["http.client.request.duration"] == 3
