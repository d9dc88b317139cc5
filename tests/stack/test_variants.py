"""The variants of the Collector's configuration at work, each with one service."""

from __future__ import annotations

import gzip
import re
import threading
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from poolscope.signals import names
from stack.load import Load
from stack.programs import HEALTHY, SICK, Ports, Stack
from stack.queries import metric
from stack.running import answers, ask, until

pytestmark = pytest.mark.stack


@pytest.fixture
def served(component, tmp_path, monkeypatch):
    """A function that runs a service against the Collector with one overlay."""
    for name in ("otelcol", "jaeger", "prometheus"):
        component(name)
    monkeypatch.setenv("DECISION_WAIT", "2s")
    stacks = []

    def run(overlay: str, name: str = "healthy") -> Stack:
        stack = Stack(tmp_path, Ports.any(), may_build=False, overlays=(overlay,))
        stacks.append(stack)
        for component in (stack.jaeger, stack.collector):
            stack.start_component(component)
        service = getattr(stack, name)
        for program in (stack.downstream, service):
            stack.start_service(program)
        Load([stack.ports.url(name)], 10.0, 4.0).run()
        service.stop(30)
        return stack

    yield run
    for stack in stacks:
        stack.stop()


def test_tail_sampling_keeps_the_traces_that_links_point_into(served):
    stack = served("tail-sampling")
    counted = ask(stack.ports.url("downstream_control"))
    asked = urllib.parse.urlencode({"service": HEALTHY, "limit": 1500, "lookback": "1h"})
    address = f"{stack.ports.url('jaeger_query')}/api/traces?{asked}"

    def setups():
        traces = ask(address)["data"]
        found = [
            sum(span["operationName"].startswith("HTTP connection_setup ") for span in trace["spans"])
            for trace in traces
        ]
        return found if sum(found) >= counted["connections"][HEALTHY] else None

    found = until(setups, 30, "the sampled traces")
    assert sum(found) == counted["connections"][HEALTHY]
    # Nothing failed, so nothing without a setup was worth keeping; and most traces have none.
    assert all(found)
    assert len(found) < counted["requests"][HEALTHY] / 4


def test_tail_sampling_keeps_errors_whatever_the_limit(served, monkeypatch):
    monkeypatch.setenv("SETUP_SPANS_PER_SECOND", "1")
    stack = served("tail-sampling", "sick")
    asked = urllib.parse.urlencode({"service": SICK, "limit": 1500, "lookback": "1h"})
    address = f"{stack.ports.url('jaeger_query')}/api/traces?{asked}"

    def told():
        return Counter(
            span["operationName"]
            for trace in ask(address)["data"]
            for span in trace["spans"]
            if span["operationName"].startswith("GET /")
        )

    failing = 40 // 6
    found = until(lambda: told() if told()["GET /nobody-there"] >= failing else None, 30, "the failed traces")
    # Every other way opens a connection with three spans or more at a time: over this limit, all of them.
    assert set(found) == {"GET /nobody-there"}


def test_scraped_metrics_have_the_same_names(served):
    stack = served("scraped")
    counted = ask(stack.ports.url("downstream_control"))
    total = metric(names.REQUESTS_DONE)

    def scraped():
        text = (answers(stack.ports.url("scraped") + "/metrics") or b"").decode()
        lines = re.findall(rf'^{total}\{{.*service_name="{HEALTHY}".*\}} ([0-9.e+]+)', text, re.MULTILINE)
        return text if sum(map(float, lines)) >= counted["requests"][HEALTHY] else None

    text = until(scraped, 30, "the last metrics")
    values = re.findall(rf"^{metric(names.OPENED)}\{{.*\}} ([0-9.e+]+)", text, re.MULTILINE)
    assert sum(map(float, values)) == counted["connections"][HEALTHY]
    told = set(re.findall(r"^([a-z_]+)\{", text, re.MULTILINE))
    for name in (
        names.OPEN_CONNECTIONS,
        names.OPENED,
        names.CLIENTS_CREATED,
        names.FACTS_DROPPED,
        names.REUSE_IDLE_TIME,
    ):
        assert metric(name) in told
    for name in (names.REQUEST_DURATION, names.SETUP_DURATION):
        assert {metric(name, "bucket"), metric(name, "sum"), metric(name, "count")} <= told


def is_setup(name: str) -> bool:
    return name.startswith("HTTP connection_setup ")


class Vendor(BaseHTTPRequestHandler):
    """An OTLP backend as vendors run them: one address, a key, three paths."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.keys.add(self.headers.get("Authorization"))
        if self.path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.server.spans += [span.name for span in scope.spans]
        elif self.path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    for told in scope.metrics:
                        if told.name == names.REQUESTS_DONE:
                            self.server.requests = sum(point.as_int for point in told.sum.data_points)
        elif self.path == "/v1/logs":
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    self.server.events += [record.event_name for record in scope.log_records]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """What came is kept in the server."""


@pytest.fixture
def vendor():
    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        server.keys, server.spans, server.requests, server.events = set(), [], 0, []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_vendor_gets_all_three_signals_at_one_address(served, vendor, monkeypatch):
    monkeypatch.setenv("VENDOR_ENDPOINT", f"http://127.0.0.1:{vendor.server_port}")
    monkeypatch.setenv("VENDOR_KEY", "Bearer of-the-vendor")
    counted = ask(served("vendor", "sick").ports.url("downstream_control"))
    until(lambda: vendor.requests >= counted["requests"][SICK], 30, "the last metrics")
    assert vendor.requests == counted["requests"][SICK]
    until(lambda: sum(map(is_setup, vendor.spans)) >= counted["connections"][SICK], 30, "the last spans")
    until(lambda: "poolscope.finding" in vendor.events, 30, "the finding's event")
    assert "poolscope.connection.closed" in vendor.events
    assert vendor.keys == {"Bearer of-the-vendor"}
