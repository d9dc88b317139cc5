"""The variants of the Collector's configuration at work, each with one service."""

from __future__ import annotations

import gzip
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from poolscope.signals import names
from stack.load import Load
from stack.ports import Ports
from stack.programs import COMPONENTS, HEALTHY, SICK, TOKEN, Stack
from stack.queries import metric
from stack.running import answers, ask, until
from stack.searches import tags_of
from tests.stack.asking import Asking

pytestmark = pytest.mark.stack


@pytest.fixture
def stacked(component, tmp_path):
    """A function that starts a stack with overlays, and ends what it started afterwards."""
    for name in COMPONENTS:
        component(name)
    stacks = []

    def make(*overlays: str) -> Stack:
        stack = Stack(tmp_path, Ports.any(), may_build=False, overlays=overlays)
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.stop()


@pytest.fixture
def served(stacked, monkeypatch):
    """A function that runs a service against the Collector with overlays, until it has sent everything."""
    monkeypatch.setenv("DECISION_WAIT", "2s")

    def run(*overlays: str, name: str = "healthy", **resource: str) -> Stack:
        stack = stacked(*overlays)
        for component in (stack.jaeger, stack.logs, stack.collector):
            stack.start_component(component)
        service = getattr(stack, name)
        if resource:
            output = ",".join(f"{key.replace('_', '.')}={value}" for key, value in resource.items())
            service.environment["OTEL_RESOURCE_ATTRIBUTES"] = output
        for each in (stack.downstream, service):
            stack.start_service(each)
        Load([stack.ports.url(name)], 10.0, 4.0).run()
        service.stop(30)
        return stack

    return run


def ways(stack: Stack, service: str) -> Counter[str]:
    """How many traces of each way of a service are in Jaeger."""
    names = [span["operationName"] for span in Asking(stack).spans(service)]
    return Counter(name for name in names if name.startswith("GET /"))


@pytest.fixture
def only(monkeypatch):
    """A function that makes tail sampling keep given traces, and nothing else."""

    def keep(**settings: str) -> None:
        nothing = {
            "SETUP_SPANS_PER_SECOND": "1",
            "WAIT_SPANS_PER_SECOND": "1",
            "SLOW_MILLISECONDS": "60000",
            "BASELINE_PERCENT": "0",
        }
        for name, value in {**nothing, **settings}.items():
            monkeypatch.setenv(name, value)

    return keep


def test_tail_sampling_keeps_the_traces_that_links_point_into(served, only):
    only(SETUP_SPANS_PER_SECOND="200")
    stack = served("tail-sampling")
    counted = Asking(stack).counted()

    def setups():
        found = [
            sum(is_setup(span["operationName"]) for span in trace["spans"])
            for trace in Asking(stack).traces(HEALTHY)
        ]
        return found if sum(found) >= counted["connections"][HEALTHY] else None

    found = until(setups, 30, "the sampled traces")
    assert sum(found) == counted["connections"][HEALTHY]
    # Nothing failed, so only traces with a setup were worth keeping, and most traces have none.
    assert all(found)
    assert len(found) < counted["requests"][HEALTHY] / 4


def test_tail_sampling_keeps_errors_whatever_the_limit(served, only):
    only()
    stack = served("tail-sampling", name="sick")
    failing = 40 // 6
    found = until(
        lambda: ways(stack, SICK) if ways(stack, SICK)["GET /nobody-there"] >= failing else None,
        30,
        "the failed traces",
    )
    # Every other way opens a connection, with three spans or more at a time: all of these are over the limit.
    assert set(found) == {"GET /nobody-there"}


def test_tail_sampling_keeps_traces_that_waited(served, only):
    only(WAIT_SPANS_PER_SECOND="1000")
    stack = served("tail-sampling", name="sick")
    waited = 40 // 6
    found = until(
        lambda: ways(stack, SICK) if ways(stack, SICK)["GET /one-connection-for-all"] >= waited else None,
        30,
        "the traces that waited",
    )
    assert set(found) == {"GET /one-connection-for-all", "GET /nobody-there"}


def test_tail_sampling_keeps_slow_traces(served, only):
    only(SLOW_MILLISECONDS="20")
    stack = served("tail-sampling")
    # Every other request asks for an answer that takes 20 ms.
    until(lambda: ways(stack, HEALTHY)["GET /stock"] >= 20, 30, "the slow traces")
    assert ways(stack, HEALTHY)["GET /stock"] == 20


def test_tail_sampling_keeps_a_share_of_the_usual_traces(served, only):
    only(BASELINE_PERCENT="50")
    stack = served("tail-sampling")
    until(lambda: Asking(stack).traces(HEALTHY), 30, "the baseline")
    # The decision comes two seconds after the last span; after another export, everything has arrived.
    time.sleep(3)
    found = ways(stack, HEALTHY)
    # 40 coins: fewer than 8 or more than 32 happen once in 20,000 runs.
    assert 8 <= sum(found.values()) <= 32
    reused = [span for span in Asking(stack).spans(HEALTHY) if tags_of(span).get(names.REUSED) is True]
    assert reused


def test_a_killed_collector_delivers_from_its_queue_on_disk(stacked):
    """Jaeger and the log store are down all the time, and the Collector dies before they come up."""
    stack = stacked("persistent")
    asking = Asking(stack)
    stack.start_component(stack.collector)
    for each in (stack.downstream, stack.sick):
        stack.start_service(each)
    (outcome,) = Load([stack.ports.url("sick")], 10.0, 4.0).run().values()
    stack.sick.stop(30)
    stack.collector.kill()
    for component in (stack.jaeger, stack.logs, stack.prometheus, stack.collector):
        stack.start_component(component)
    counted = asking.counted()
    until(lambda: len(asking.traces(SICK)) >= outcome["answered"], 60, "the traces from the queue")
    assert len(asking.traces(SICK)) == outcome["answered"]
    requests = counted["requests"][SICK]
    until(lambda: asking.total("poolscope_requests_total", SICK) >= requests, 60, "the metrics")
    assert asking.total("poolscope_requests_total", SICK) == requests
    assert until(lambda: asking.events("_time:1h poolscope.finding.code:*"), 60, "the finding")


def test_tls_and_a_token_admit_only_senders_with_both(served, tmp_path):
    stack = served("tls", "auth", "persistent", name="sick")
    asking = Asking(stack)
    until(lambda: len(asking.traces(SICK)) >= 40, 60, "the traces over TLS")
    assert until(lambda: asking.events("_time:1h poolscope.finding.code:*"), 60, "the finding over TLS")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    def sent(scheme: str, token: str | None) -> int:
        headers = {"Content-Type": "application/x-protobuf"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = f"{scheme}://localhost:{stack.ports.otlp_http}/v1/traces"
        asked = urllib.request.Request(url, data=b"", headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=20, context=trusted) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert sent("https", TOKEN) == 200
    assert sent("https", "another") == 401
    assert sent("https", None) == 401
    assert sent("http", TOKEN) == 400


def test_scraped_metrics_have_the_same_names(served):
    stack = served("scraped", deployment_environment_name="local", k8s_pod_name="pod-of-many")
    counted = ask(stack.ports.url("downstream_control"))
    total = metric(names.REQUESTS_DONE)

    def scraped():
        text = (answers(stack.ports.url("scraped") + "/metrics") or b"").decode()
        lines = re.findall(rf'^{total}\{{.*service_name="{HEALTHY}".*\}} ([0-9.e+]+)', text, re.MULTILINE)
        return text if sum(map(float, lines)) >= counted["requests"][HEALTHY] else None

    text = until(scraped, 30, "the last metrics")
    values = re.findall(rf"^{metric(names.OPENED)}\{{.*\}} ([0-9.e+]+)", text, re.MULTILINE)
    assert sum(map(float, values)) == counted["connections"][HEALTHY]
    output = set(re.findall(r"^([a-z_]+)\{", text, re.MULTILINE))
    for name in (
        names.OPEN_CONNECTIONS,
        names.OPENED,
        names.CLIENTS_CREATED,
        names.FACTS_DROPPED,
        names.REUSE_IDLE_TIME,
    ):
        assert metric(name) in output
    # Every series has what identifies its service; none has what a cluster adds to the resource.
    series = [line for line in text.splitlines() if line.startswith("poolscope_")]
    assert series
    for line in series:
        assert re.search(rf'job="{HEALTHY}"', line)
        assert 'deployment_environment_name="local"' in line
        assert "otel_scope" not in line
    assert "pod-of-many" not in re.sub(r"^target_info.*$", "", text, flags=re.MULTILINE)
    for name in (names.REQUEST_DURATION, names.SETUP_DURATION):
        assert {metric(name, "bucket"), metric(name, "sum"), metric(name, "count")} <= output


def is_setup(name: str) -> bool:
    return name.startswith("HTTP connection_setup")


class VendorServer(ThreadingHTTPServer):
    """The requests that came, and their keys."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Vendor)
        self.keys: set[str | None] = set()
        self.spans: list[str] = []
        self.events: list[str] = []
        self.requests = 0


class Vendor(BaseHTTPRequestHandler):
    """An OTLP backend as vendors run it: one address, a key, three paths."""

    server: VendorServer  # pyright: ignore[reportIncompatibleVariableOverride] - BaseServer says less

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
                    for output in scope.metrics:
                        if output.name == names.REQUESTS_DONE:
                            self.server.requests = sum(point.as_int for point in output.sum.data_points)
        elif self.path == "/v1/logs":
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    self.server.events += [record.event_name for record in scope.log_records]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any):
        """Log nothing: the server keeps what came."""


@pytest.fixture
def vendor():
    with VendorServer() as server:
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
    counted = ask(served("vendor", name="sick").ports.url("downstream_control"))
    until(lambda: vendor.requests >= counted["requests"][SICK], 30, "the last metrics")
    assert vendor.requests == counted["requests"][SICK]
    until(lambda: sum(map(is_setup, vendor.spans)) >= counted["connections"][SICK], 30, "the last spans")
    until(lambda: "poolscope.finding" in vendor.events, 30, "the finding's event")
    assert "poolscope.connection.closed" in vendor.events
    assert vendor.keys == {"Bearer of-the-vendor"}
