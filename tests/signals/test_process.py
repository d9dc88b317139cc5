"""A real process: forks, its end, its own exporters, and providers that fail."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import requests
from opentelemetry.sdk.trace import SpanProcessor

from tests.signals.telemetry import Telemetry


def run(program: str, *args: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *args],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


FORK = """
    import json, os, sys, threading
    import requests
    import poolscope
    from poolscope.queue import FACTS
    from tests.signals.telemetry import Telemetry

    url, locked = sys.argv[1], sys.argv[2] == "locked"
    telemetry = Telemetry()
    poolscope.instrument(**telemetry.providers)
    session = requests.Session()
    session.get(url)

    def counts():
        return [telemetry.total(name) for name in (
            "poolscope.connections.opened", "poolscope.requests", "poolscope.connections.closed",
            "http.client.request.duration", "poolscope.connection.setup.duration")]

    parent = [] if locked else counts()
    if locked:
        FACTS._lock.acquire()  # as if another thread were draining in this very moment
    pipes = []
    for number in range(4):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            telemetry.exporter.clear()
            for _ in range(number + 1):
                requests.get(url)
            os.write(write, json.dumps([counts(), len(telemetry.requests)]).encode())
            os._exit(0)
        os.close(write)
        pipes.append((pid, read))
    if locked:
        FACTS._lock.release()
    children = []
    for pid, read in pipes:
        with os.fdopen(read) as pipe:
            children.append(json.loads(pipe.read()))
        os.waitpid(pid, 0)
    session.close()
    print(json.dumps([parent, children, counts()]))
"""


@pytest.mark.parametrize("locked", ["free", "locked"])
def test_every_forked_worker_tells_its_own(server, locked: str) -> None:
    parent, children, after = run(FORK, server.url(), locked)
    assert parent in ([], [1, 1, 0, 1, 2])
    assert children == [[[n, n, n, n, 2 * n], n] for n in (1, 2, 3, 4)]
    assert after == [1, 1, 1, 1, 2]
    assert len(server.headers) == 1 + 1 + 2 + 3 + 4


FORK_LATE = """
    import json, os, sys
    import requests
    import poolscope
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
    from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

    poolscope.instrument()  # the provider comes later: instruments are proxies until then
    delta = dict.fromkeys((Counter, Histogram, ObservableCounter), AggregationTemporality.DELTA)
    reader = InMemoryMetricReader(delta)
    metrics.set_meter_provider(MeterProvider([reader]))

    def counts():
        found = {}
        for resource in reader.get_metrics_data().resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = metric.data.data_points
                    found[metric.name] = sum(getattr(each, "count", getattr(each, "value", 0)) for each in points)
        return [found.get("http.client.request.duration", 0), found.get("poolscope.connections.opened", 0)]

    for _ in range(3):
        requests.get(sys.argv[1])
    before = counts()
    for _ in range(2):
        requests.get(sys.argv[1])
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        requests.get(sys.argv[1])
        os.write(write, json.dumps(counts()).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        child = json.loads(pipe.read())
    os.waitpid(pid, 0)
    print(json.dumps([before, child, counts()]))
"""


def test_a_fork_between_two_deliveries_of_differences(server) -> None:
    assert run(FORK_LATE, server.url()) == [[3, 3], [1, 1], [2, 2]]


EXIT = """
    import json, os, sys
    import requests
    import poolscope
    from opentelemetry import metrics, trace, _logs
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    told = {"events": 0, "spans": 0, "opened": 0, "durations": 0}

    class Logs(LogRecordExporter):
        def export(self, batch):
            told["events"] += len(batch)
            return LogRecordExportResult.SUCCESS
        def force_flush(self, timeout_millis=0):
            return True
        def shutdown(self):
            pass

    class Spans(SpanExporter):
        def export(self, spans):
            told["spans"] += len(spans)
            return SpanExportResult.SUCCESS

    class Metrics(MetricExporter):
        def export(self, data, timeout_millis=0, **kwargs):
            for resource in data.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == "poolscope.connections.opened":
                            told["opened"] = sum(point.value for point in metric.data.data_points)
                        if metric.name == "http.client.request.duration":
                            told["durations"] = sum(point.count for point in metric.data.data_points)
            return MetricExportResult.SUCCESS
        def force_flush(self, timeout_millis=0):
            return True
        def shutdown(self, timeout_millis=0, **kwargs):
            pass

    import atexit
    atexit.register(lambda: print(json.dumps(told), flush=True))  # registered first, so it runs last
    poolscope.instrument()
    trace.set_tracer_provider(TracerProvider())
    trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(Spans()))
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(Metrics(), 1e9)]))
    _logs.set_logger_provider(LoggerProvider())
    _logs.get_logger_provider().add_log_record_processor(BatchLogRecordProcessor(Logs()))
    for _ in range(3):
        requests.get(sys.argv[1])
"""


def test_the_last_facts_are_delivered_at_exit(server) -> None:
    # Three closes, and the finding that this is a client per request.
    assert run(EXIT, server.url()) == {"events": 4, "spans": 9, "opened": 3, "durations": 3}


EXPORT = """
    import gc, json, sys, threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    import poolscope
    from poolscope.testing import capture

    posts = []

    class Collector(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            posts.append(self.path)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()
        def log_message(self, *args):
            pass

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    collector.daemon_threads = True
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{collector.server_port}"
    spans = TracerProvider()
    metrics = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{at}/v1/metrics"), 1e9)])
    with capture() as captured:
        poolscope.instrument(tracer_provider=spans, meter_provider=metrics)
        spans.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{at}/v1/traces")))
        for number in range(int(sys.argv[1])):
            spans.get_tracer("t").start_span("s").end()
            if number % 10 == 0:
                metrics.force_flush()
        spans.shutdown()
        metrics.shutdown()
        del spans, metrics
        gc.collect()
    poolscope.uninstrument()
    print(json.dumps([len(posts), len(captured.exchanges), len(captured.connections)]))
"""


def test_the_exporters_own_connections_are_never_told() -> None:
    posts, exchanges, connections = run(EXPORT, "1000")
    assert posts >= 1_100
    assert (exchanges, connections) == (0, 0)


class Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("on_start")


def test_a_provider_that_raises_is_not_noticed(server) -> None:
    telemetry = Telemetry()
    telemetry.tracer_provider.add_span_processor(Broken())
    with telemetry.instrumented(), requests.Session() as session:
        for _ in range(5):
            assert session.get(server.url()).text == "answer"
        assert telemetry.total("poolscope.connections.opened") == 1
        assert telemetry.total("poolscope.requests") == 5
        assert telemetry.total("http.client.request.duration") == 5
        assert telemetry.total("poolscope.hooks.disabled", poolscope__hook__name="signals.spans") == 1
