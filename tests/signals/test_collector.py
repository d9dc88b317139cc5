"""A collector that is down, slow or answers 503, behind the official SDK: the program does not notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from opentelemetry.sdk._logs import LogRecordProcessor

import poolscope
from poolscope import instrumentor
from poolscope.facts import now
from poolscope.queue import FACTS, RELIEF_AT
from poolscope.signals import collection as collecting
from poolscope.signals import metrics
from tests.receiver import Receiver, receiving
from tests.signals.conftest import Seen
from tests.signals.telemetry import Telemetry

PROGRAM = """
    import json, os, sys, time
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    import requests
    import poolscope
    from poolscope import instrumentor
    from poolscope.queue import FACTS

    url, at, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    traces = TracerProvider(shutdown_on_exit=False)
    spans = BatchSpanProcessor(OTLPSpanExporter(f"{at}/v1/traces"), schedule_delay_millis=50, max_queue_size=600)
    traces.add_span_processor(spans)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{at}/v1/metrics"), 100)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{at}/v1/logs"), schedule_delay_millis=50))
    poolscope.instrument(tracer_provider=traces, meter_provider=meters, logger_provider=logs)
    longest, pending, facts, alone = 0.0, 0, 0, 0
    statuses = set()
    with requests.Session() as session:
        for _ in range(count):
            start, nobody_drains = time.perf_counter(), FACTS._drainer is None
            statuses.add(session.get(url).status_code)
            longest = max(longest, time.perf_counter() - start)
            if nobody_drains and FACTS._drainer is None:  # else a collection drains, as slowly as the machine lets it
                alone += 1
                pending = max(pending, len(instrumentor._signals.totals.pending))
                facts = max(facts, len(FACTS))
    print(json.dumps({
        "statuses": sorted(statuses), "longest": longest, "pending": pending, "facts": facts, "alone": alone,
        "dropped": FACTS.dropped, "spans": len(spans._batch_processor._queue),
        "opened": instrumentor._signals.totals.servers and
            [at.opened for at in instrumentor._signals.totals.servers.values()],
    }), flush=True)
    os._exit(0)  # the SDK's own end waits for its collector
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.mark.processes
@pytest.mark.load
@pytest.mark.parametrize("condition", ["away", "broken", "stuck"])
def test_a_broken_collector_costs_nothing_but_its_data(server, receiver: Receiver, condition: str) -> None:
    at = "http://127.0.0.1:9" if condition == "away" else receiver.endpoint("http/protobuf")
    receiver.condition = condition
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), server.url(), at, "2000"],
        env={**os.environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "30"},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert outcome["statuses"] == [200]
    # A wait for the collector would have lasted until its time limit or its retry.
    assert outcome["longest"] < 5.0
    assert outcome["spans"] <= 600
    assert outcome["alone"] > 1_000, "something drains all the time"
    # Passed on at 256, in batches of 512 facts with a few samples each at most.
    assert outcome["pending"] < 1_000
    assert outcome["facts"] <= RELIEF_AT + 100
    assert outcome["dropped"] == 0
    assert len(server.headers) == 2_000


class Broken(LogRecordProcessor):
    def on_emit(self, log_record: Any) -> None:
        raise RuntimeError("on_emit")

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def test_a_log_processor_that_raises_stops_neither_metrics_nor_requests(server) -> None:
    telemetry = Telemetry()
    telemetry.logger_provider.add_log_record_processor(Broken())
    with telemetry.instrumented():
        for _ in range(5):
            assert requests.get(server.url()).text == "answer"
        assert telemetry.total("poolscope.connections.closed") == 5
        assert telemetry.total("http.client.connection.duration") == 5
        assert telemetry.total("http.client.request.duration") == 5


class Lingering(LogRecordProcessor):
    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


class Unhurried(Lingering):
    """Keeps its thread until another one has had the time to go on without it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.kept: list[str] = []

    def on_emit(self, log_record: Any) -> None:
        self.entered.set()
        time.sleep(0.1)
        self.kept.append(log_record.log_record.event_name)


def exit_handler(_: Telemetry) -> None:
    instrumentor._signals._last_facts()


def collection(telemetry: Telemetry) -> None:
    telemetry.everything()


def off(_: Telemetry) -> None:
    poolscope.uninstrument()


@pytest.mark.parametrize("end", [exit_handler, collection, off])
def test_an_end_waits_for_a_thread_that_still_passes_something_on(
    server: Seen, end: Callable[[Telemetry], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the provider may be shut down in between, and a close that was counted has no event."""
    monkeypatch.setattr(metrics, "SETTLE", 30.0)
    telemetry, unhurried = Telemetry(), Unhurried()
    telemetry.logger_provider.add_log_record_processor(unhurried)
    with telemetry.instrumented(events="all"):
        requests.get(server.url())
        FACTS.settle()
        passing = threading.Thread(target=instrumentor._signals.metrics.publish)
        passing.start()
        assert unhurried.entered.wait(10)
        end(telemetry)
        assert unhurried.kept == ["poolscope.connection.closed"]
        passing.join()


class Stuck(Lingering):
    """Keeps its thread until the test is over."""

    def __init__(self) -> None:
        self.entered, self.over = threading.Event(), threading.Event()

    def on_emit(self, log_record: Any) -> None:
        self.entered.set()
        self.over.wait()


def test_a_collection_waits_once_for_a_thread_that_is_stuck(
    server: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its instruments are asked one after the other, each some time after the one before."""
    waits: list[float] = []
    clock = [now()]  # only waiting takes time

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += metrics.SETTLE / 10

    assert metrics.SETTLE >= collecting.LONGEST, "else a collection that waits is never taken for two"
    monkeypatch.setattr(metrics, "sleep", sleep)
    for module in (metrics, collecting):
        monkeypatch.setattr(module, "now", lambda: clock[0])
    telemetry, stuck = Telemetry(), Stuck()
    telemetry.logger_provider.add_log_record_processor(stuck)
    with telemetry.instrumented(events="all"):
        requests.get(server.url())
        FACTS.settle()
        passing = threading.Thread(target=instrumentor._signals.metrics.publish)
        passing.start()
        assert stuck.entered.wait(10)
        began: list[int] = []
        finish = metrics.Metrics.finish
        monkeypatch.setattr(metrics.Metrics, "finish", lambda self: (began.append(1), finish(self)))
        telemetry.everything()
        stuck.over.set()
        passing.join()
    assert waits
    assert len(began) == 2, "of the collection, and of the end"


def test_nobody_waits_for_threads_that_begin_meanwhile(server: Seen) -> None:
    """Else others that pass something on all the time would hold a collection up for as long as it waits."""
    with Telemetry().instrumented():
        mine = instrumentor._signals.metrics
        mine._publishers.add((0, object()))

        def sleep(_: float) -> None:
            mine._publishers.clear()
            mine._publishers.add((0, object()))
            assert len(waits) < 1, "waited for a thread that came later"
            waits.append(1)

        waits: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metrics, "sleep", sleep)
            patch.setattr(metrics, "SETTLE", 30.0)
            mine.finish()
        assert waits == [1]
        mine._publishers.clear()


@pytest.mark.load
def test_samples_are_passed_on_even_when_spans_are_given_up(server) -> None:
    class Refusing:
        def start_span(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("start_span")

    telemetry = Telemetry()
    with telemetry.instrumented(), requests.Session() as session:
        instrumentor._signals.spans._tracer = Refusing()
        for _ in range(2_000):
            session.get(server.url())
        assert len(instrumentor._signals.totals.pending) < 1_000
        assert telemetry.total("http.client.request.duration") == 2_000
