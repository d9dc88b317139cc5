"""How the service of `bench.service` is observed: its server always, its client in three ways or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.variants import use_official

SERVER_ONLY = "server only"
Flush = Callable[[], object]


def _providers() -> tuple[Any, Any, Any]:
    """An SDK as a service has it: OTLP over HTTP, in default batches."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    tracing = TracerProvider()
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    logging = LoggerProvider()
    logging.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    return tracing, MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]), logging


def _observed(*, official: bool, ours: bool) -> Callable[[Any], Flush]:
    def observe(app: Any) -> Flush:
        from opentelemetry import metrics, trace
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        tracing, metering, logging = _providers()
        trace.set_tracer_provider(tracing)
        metrics.set_meter_provider(metering)
        FastAPIInstrumentor.instrument_app(
            app, tracer_provider=tracing, meter_provider=metering, excluded_urls="cpu"
        )
        if official:
            use_official("httpx", tracing, metering)
        if ours:
            import poolscope

            poolscope.instrument(tracer_provider=tracing, meter_provider=metering, logger_provider=logging)
        return lambda: [provider.force_flush() for provider in (tracing, metering, logging)]

    return observe


VARIANTS: dict[str, Callable[[Any], Flush]] = {
    SERVER_ONLY: _observed(official=False, ours=False),
    "server only, again": _observed(official=False, ours=False),
    "official": _observed(official=True, ours=False),
    "poolscope": _observed(official=False, ours=True),
    "both": _observed(official=True, ours=True),
}
