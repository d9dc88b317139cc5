"""A real SDK in memory, and questions for tests to ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

import poolscope


class Telemetry:
    """Providers, and what arrived at their exporters."""

    def __init__(self, sampler: Sampler = ALWAYS_ON, readers: int = 1) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.readers = [InMemoryMetricReader() for _ in range(readers)]
        self.meter_provider = MeterProvider(self.readers, shutdown_on_exit=False)
        self.log_exporter = InMemoryLogRecordExporter()
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.log_exporter))
        self.tracer = self.tracer_provider.get_tracer("test")

    @property
    def providers(self) -> dict[str, Any]:
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    @contextmanager
    def instrumented(self, **options: Any) -> Iterator[Telemetry]:
        poolscope.instrument(**self.providers, **options)
        try:
            yield self
        finally:
            poolscope.uninstrument()

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, start: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(start)]

    @property
    def requests(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind.name == "CLIENT"]

    def points(self, metric: str, reader: int = 0) -> list[Any]:
        data = self.readers[reader].get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for each in scope.metrics
            if each.name == metric
            for point in each.data.data_points
        ]

    def everything(self) -> list[Any]:
        data = self.readers[0].get_metrics_data()
        return [
            each
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for each in scope.metrics
        ]

    def total(self, metric: str, **having: Any) -> float:
        """Sum (or count, of a histogram) over the points with attributes that contain ``having`` (. is __)."""
        wanted = {key.replace("__", "."): value for key, value in having.items()}
        return sum(
            point.count if hasattr(point, "count") else point.value
            for point in self.points(metric)
            if all(point.attributes.get(key) == value for key, value in wanted.items())
        )

    def events(self, name: str) -> list[Any]:
        logs = [each.log_record for each in self.log_exporter.get_finished_logs()]
        return [record for record in logs if record.event_name == name]
