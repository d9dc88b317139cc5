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

pytestmark = pytest.mark.processes


def run(program: str, *args: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *args],
        capture_output=True, text=True, timeout=110, check=False,
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
def test_every_forked_worker_reports_its_own(server, locked: str) -> None:
    parent, children, after = run(FORK, server.url(), locked)
    assert parent in ([], [1, 1, 0, 1, 1])
    assert children == [[[n, n, n, n, n], n] for n in (1, 2, 3, 4)]
    assert after == [1, 1, 1, 1, 1]
    assert len(server.headers) == 1 + 1 + 2 + 3 + 4


FORK_WHILE_BUSY = """
    import json, os, sys, threading
    import requests
    import poolscope
    from opentelemetry.metrics import Observation
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader

    url, where = sys.argv[1], sys.argv[2]
    parent, reached, released = os.getpid(), threading.Event(), threading.Event()

    def stand(here):
        if here == where and os.getpid() == parent:
            reached.set()
            released.wait(30)

    class Exporter(MetricExporter):
        arrived = {}

        def export(self, metrics_data, timeout_millis=0, **_):
            stand("export")
            for resource in metrics_data.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        self.arrived[metric.name] = [
                            getattr(point, "count", None) or getattr(point, "value", None)
                            for point in metric.data.data_points
                        ]
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis=0):
            return True

        def shutdown(self, timeout_millis=0, **_):
            pass

    def observed(_):
        stand("collection")
        return [Observation(1)]

    def collect(aggregation, *args):
        if list(aggregation._attributes) == ["theirs"]:
            stand("another package's histogram")
        return usual(aggregation, *args)

    usual = _ExplicitBucketHistogramAggregation.collect
    _ExplicitBucketHistogramAggregation.collect = collect
    exporter = Exporter()
    # It never exports by itself: how many collections there were decides what they counted.
    reader = PeriodicExportingMetricReader(exporter, 1e9)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    poolscope.instrument(meter_provider=meters)
    meters.get_meter("theirs").create_observable_counter("theirs", [observed])
    histogram = meters.get_meter("theirs").create_histogram("their.histogram")
    histogram.record(1, {"theirs": True})
    requests.get(url)
    collecting = threading.Thread(target=reader.collect)
    collecting.start()
    assert reached.wait(30)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        for _ in range(3):
            requests.get(url)
        histogram.record(1, {"theirs": True})
        meters.shutdown(30_000)
        arrived = {name: exporter.arrived.get(name) for name in (
            "http.client.request.duration", "poolscope.connections.opened", "theirs", "their.histogram")}
        os.write(write, json.dumps(arrived).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.read())
    os.waitpid(pid, 0)
    released.set()
    collecting.join()
"""


# A fork in the middle of a collection copies what the SDK has already asked of other packages' instruments.
@pytest.mark.parametrize(
    ("where", "theirs"), [("export", 1), ("collection", 1), ("another package's histogram", 2)]
)
def test_a_worker_that_is_forked_during_an_export_delivers(server, where: str, theirs: int) -> None:
    """A collector that is slow or away makes an export take seconds, and gunicorn forks at any time."""
    arrived = run(FORK_WHILE_BUSY, server.url(), where)
    assert arrived["http.client.request.duration"] == [3]
    assert arrived["poolscope.connections.opened"] == [3]
    assert arrived["theirs"] == [theirs]
    assert arrived["their.histogram"] == [2], "the SDK copies it to the child"


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

    received = {"events": 0, "spans": 0, "opened": 0, "durations": 0}

    class Logs(LogRecordExporter):
        def export(self, batch):
            received["events"] += len(batch)
            return LogRecordExportResult.SUCCESS
        def force_flush(self, timeout_millis=0):
            return True
        def shutdown(self):
            pass

    class Spans(SpanExporter):
        def export(self, spans):
            received["spans"] += len(spans)
            return SpanExportResult.SUCCESS

    class Metrics(MetricExporter):
        def export(self, data, timeout_millis=0, **kwargs):
            for resource in data.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == "poolscope.connections.opened":
                            received["opened"] = sum(point.value for point in metric.data.data_points)
                        if metric.name == "http.client.request.duration":
                            received["durations"] = sum(point.count for point in metric.data.data_points)
            return MetricExportResult.SUCCESS
        def force_flush(self, timeout_millis=0):
            return True
        def shutdown(self, timeout_millis=0, **kwargs):
            pass

    import atexit
    atexit.register(lambda: print(json.dumps(received), flush=True))  # registered first, so it runs last
    poolscope.instrument(events="all")
    trace.set_tracer_provider(TracerProvider())
    trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(Spans()))
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(Metrics(), 1e9)]))
    _logs.set_logger_provider(LoggerProvider())
    _logs.get_logger_provider().add_log_record_processor(BatchLogRecordProcessor(Logs()))
    for _ in range(3):
        requests.get(sys.argv[1])
"""


def test_the_last_facts_are_delivered_at_exit(server) -> None:
    # Three closes, and the finding of a client per request.
    assert run(EXIT, server.url()) == {"events": 4, "spans": 9, "opened": 3, "durations": 3}


FLUSH = """
    import json, sys, threading
    before = [thread.name for thread in threading.enumerate()]
    import requests
    import poolscope
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    sums = {}

    class Metrics(MetricExporter):
        def export(self, data, timeout_millis=0, **kwargs):
            for resource in data.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        sums[metric.name] = sum(
                            getattr(point, "count", getattr(point, "value", 0)) for point in metric.data.data_points
                        )
            return MetricExportResult.SUCCESS
        def force_flush(self, timeout_millis=0):
            return True
        def shutdown(self, timeout_millis=0, **kwargs):
            pass

    poolscope.instrument()
    poolscope.uninstrument()
    ours = [thread.name for thread in threading.enumerate()]
    exporter = InMemorySpanExporter()
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1e9))
    reader = PeriodicExportingMetricReader(Metrics(), 1e9)
    metrics = MeterProvider([reader])
    theirs = sorted(thread.name for thread in threading.enumerate())
    poolscope.instrument(tracer_provider=spans, meter_provider=metrics)
    with requests.Session() as session:
        for _ in range(3):
            session.get(sys.argv[1])
    spans.force_flush()
    names = sorted(span.name.partition(" ")[0] for span in exporter.get_finished_spans())
    metrics.force_flush()
    after = sorted(thread.name for thread in threading.enumerate())
    print(json.dumps([before == ours, theirs == after, names, [sums[name] for name in (
        "poolscope.connections.opened", "poolscope.connections.closed", "http.client.request.duration")]]))
"""


def test_a_flush_alone_is_complete_and_we_have_no_thread(server) -> None:
    assert run(FLUSH, server.url()) == [True, True, ["GET", "GET", "GET", "HTTP", "socket"], [1, 1, 3]]


EXPORT = """
    import gc, importlib, json, sys
    import requests
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    import poolscope
    from poolscope.testing import capture
    from tests.receiver import receiving

    transport, batches, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    protocol = "grpc" if transport == "grpc" else "http"
    package = f"opentelemetry.exporter.otlp.proto.{protocol}"
    OTLPSpanExporter = importlib.import_module(f"{package}.trace_exporter").OTLPSpanExporter
    OTLPMetricExporter = importlib.import_module(f"{package}.metric_exporter").OTLPMetricExporter

    def exporter(kind, at, signal):
        if transport == "grpc":
            return kind(at)
        if transport == "urllib3":
            from opentelemetry.exporter.http.transport._urllib3 import Urllib3HTTPTransport
            return kind(f"{at}/v1/{signal}", _transport=Urllib3HTTPTransport())
        return kind(f"{at}/v1/{signal}")

    with receiving() as receiver, capture() as captured:
        at = receiver.endpoint(protocol)
        spans = TracerProvider()
        reader = PeriodicExportingMetricReader(exporter(OTLPMetricExporter, at, "metrics"), 1e9)
        metrics = MeterProvider([reader])
        poolscope.instrument(tracer_provider=spans, meter_provider=metrics)
        spans.add_span_processor(SimpleSpanProcessor(exporter(OTLPSpanExporter, at, "traces")))
        for number in range(batches):
            spans.get_tracer("t").start_span("s").end()
            if number % 10 == 0:
                metrics.force_flush()
        requests.get(url)
        metrics.force_flush()
        counts = [
            sum(receiver.deliveries.values()), len(receiver.ours()), receiver.total("poolscope.connections.opened"),
            receiver.total("http.client.request.duration"),
        ]
        if transport == "grpc":
            spans.shutdown()
            metrics.shutdown()
        poolscope.uninstrument()
        del spans, metrics, reader
        gc.collect()  # closes what was not shut down, outside of any context that asks for silence
    print(json.dumps([*counts, len(captured.exchanges), len(captured.connections)]))
"""


@pytest.mark.parametrize(("transport", "batches"), [("requests", 1_000), ("urllib3", 300), ("grpc", 300)])
def test_the_exporters_own_connections_are_never_reported(server, transport: str, batches: int) -> None:
    deliveries, spans, opened, durations, exchanges, connections = run(
        EXPORT, transport, str(batches), server.url()
    )
    assert deliveries >= batches
    assert spans == 3  # the program's own request, its setup and the one phase
    assert (opened, durations, exchanges, connections) == (1, 1, 1, 1)


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
