"""``--otlp``: spans, metrics and events to a collector, from a program that knows nothing of OpenTelemetry.

poolscope uses its own providers, so that the program's own setup stays as it is. In a forked child providers and
exporters are new: a connection to the collector cannot be shared, and the parent reports its own sums.
"""

from __future__ import annotations

import os
from typing import Any, Final
from uuid import uuid4

from poolscope import instrumentor
from poolscope.facts import now
from poolscope.genuine import allocate_lock, get_ident
from poolscope.ledger.urls import shown_url
from poolscope.otel_version import api, too_old
from poolscope.recording import otlp_export
from poolscope.recording.endpoint import Endpoint, parse_endpoint
from poolscope.recording.errors import UsageError
from poolscope.recording.heartbeat import Heartbeat

EXIT_TIMEOUT: Final = 5.0
"""Seconds the program's end waits for the last delivery."""
FORK_TIMEOUT: Final = 0.2
"""Seconds a fork waits for a delivery under way."""


def collector(endpoint: str, program: str) -> Collector:
    """Telemetry of this process for ``endpoint``; UsageError says why if that is impossible."""
    parsed = parse_endpoint(endpoint)
    otlp_export.check(parsed)
    reason = too_old(api() or "0")
    if reason is not None:
        raise UsageError(f"--otlp: {reason}")
    try:
        return Collector(parsed, program)
    except ImportError as error:
        raise UsageError(f"--otlp needs more packages: pip install 'poolscope[otlp]' ({error})") from None
    except Exception as error:  # mostly a variable that the SDK cannot read
        raise UsageError(f"--otlp: {type(error).__name__}: {error}") from None


class Collector:
    """Telemetry of one process on its way to the collector."""

    def __init__(self, endpoint: Endpoint, program: str) -> None:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource

        self._endpoint = endpoint
        self._metrics_every = _seconds("OTEL_METRIC_EXPORT_INTERVAL", 60.0)
        self._heartbeat = Heartbeat(self._send_due, _seconds("OTEL_BSP_SCHEDULE_DELAY", 5.0))
        self._resource = Resource.create()
        if str(self._resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
            name = "python" if program == "-c" else program.removesuffix(".py")
            self._resource = self._resource.merge(Resource({SERVICE_NAME: name}))
        self._begin()

    def __repr__(self) -> str:
        return f"<Collector {shown_url(self._endpoint.url)}, {len(self._spans)} spans waiting>"

    def _begin(self) -> None:
        """New, empty providers."""
        # The exporters need it, and it cannot be imported any more once the interpreter is ending.
        import concurrent.futures.thread  # noqa: F401

        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor

        from poolscope.findings import new_findings
        from poolscope.signals import Signals

        # Sums of several processes under one name would look like one sum that jumps.
        own: dict[str, Any] = {"process.pid": os.getpid()}
        if "service.instance.id" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
            own["service.instance.id"] = str(uuid4())
        resource = self._resource.merge(Resource(own))
        self._exporters: dict[str, Any] = {}
        self._problem: str | None = None
        self._spans = otlp_export.Waiting(self._heartbeat.nudge)
        self._events = otlp_export.Waiting(self._heartbeat.nudge)
        self._metrics_lost = False
        self._metrics_due = now() + self._metrics_every
        self._threads: set[int] = set()
        """The threads that deliver; at the end the program's own may join ours, which is still trying."""
        self._last = self._finished = False
        self._delivered = allocate_lock()
        self._delivered.acquire()
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))  # type: ignore[arg-type]
        self._reader = InMemoryMetricReader(
            otlp_export.preferred_temporality(), otlp_export.preferred_aggregation()
        )
        meters = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False)
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self._events))  # type: ignore[arg-type]
        self._signals = Signals(tracers, meters, loggers, findings=new_findings(), apart=True)

    def start(self) -> None:
        """Observe from now on."""
        instrumentor.carry(self._signals)

    # The program's life ------------------------------------------------------------------------

    def first_request(self) -> None:
        """The first request has come, so there will be something to send."""
        self._heartbeat.start()

    def before_fork(self) -> None:
        """Get the thread out of the way, without delaying the fork. The next request starts it again."""
        self._heartbeat.stop(FORK_TIMEOUT)

    def after_fork(self) -> None:
        """In the child: start everything again."""
        self._heartbeat.reset()
        instrumentor.drop(self._signals)
        self._begin()
        self.start()

    def finish(self) -> str | None:
        """Deliver the rest, within `EXIT_TIMEOUT`; returns a sentence about what was lost."""
        if self._finished:
            return None
        self._finished = True
        self._settle()
        arrived = self._deliver() if self._anything() else True
        lost = self._spans.lost + self._events.lost
        if lost or not arrived:  # after a refusal the rest is not even tried
            lost += self._spans.unsent + self._events.unsent
        instrumentor.drop(self._signals)
        self._threads.add(get_ident())  # log records about closing are about poolscope's own deliveries, too
        for exporter in self._exporters.values():
            exporter.shutdown()
        self._threads.discard(get_ident())
        if arrived and not lost and not self._metrics_lost and self._problem is None:
            return None
        what = f"{lost} spans and events" if lost else "everything"
        why = f" ({self._problem})" if self._problem is not None else ""
        return f"the collector at {shown_url(self._endpoint.url)} did not get {what}{why}"

    def _deliver(self) -> bool:
        self._last = True
        self._heartbeat.start()
        self._heartbeat.nudge()
        if (
            not self._heartbeat.running
        ):  # no new thread can start at the end: the exporters' own time limits apply
            self._send_due()
        return self._delivered.acquire(timeout=EXIT_TIMEOUT)

    def _anything(self) -> bool:
        totals = self._signals.totals
        return bool(self._spans or self._events or totals.servers or totals.clients_created)

    # In our own thread -------------------------------------------------------------------------

    def _settle(self) -> None:
        self._signals.settle()
        self._signals.metrics.finish()

    def _send_due(self) -> None:
        from opentelemetry.context import attach, detach, set_value

        last = self._last
        self._threads.add(get_ident())
        token = attach(set_value("suppress_instrumentation", True))
        try:
            self._settle()
            if self._connect():
                self._send(self._spans, "traces")
                self._send(self._events, "logs")
                if last or now() >= self._metrics_due:
                    self._metrics_due = now() + self._metrics_every
                    data = self._reader.get_metrics_data()
                    self._metrics_lost = data is not None and not self._export("metrics", data)
        finally:
            detach(token)
            self._threads.discard(get_ident())
            if last:
                self._delivered.release()

    def _connect(self) -> bool:
        """Make exporters; without them the buffers drop what they hold."""
        if not self._exporters and self._problem is None:
            try:
                exporters = otlp_export.new_exporters(self._endpoint)
                otlp_export.silence(exporters, lambda: get_ident() in self._threads)
                self._exporters = exporters
            except Exception as error:  # mostly a variable that the exporter cannot read
                self._problem = f"{type(error).__name__}: {error}"
        return bool(self._exporters)

    def _send(self, waiting: otlp_export.Waiting, signal: str) -> None:
        while batch := waiting.take(otlp_export.BATCH):
            waiting.under_way = len(batch)
            delivered = self._export(signal, batch)
            waiting.under_way = 0
            if not delivered:
                waiting.lost += len(batch)
                return  # the rest follows in the next round, if there is one

    def _export(self, signal: str, batch: Any) -> bool:
        try:
            return bool(self._exporters[signal].export(batch).name == "SUCCESS")
        except Exception:
            return False


def _seconds(variable: str, default: float) -> float:
    """A duration that the environment gives in milliseconds, as OpenTelemetry's are."""
    try:
        return max(float(os.environ.get(variable, "")) / 1e3, 0.1)
    except ValueError:
        return default
