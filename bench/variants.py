"""What is compared: nothing, poolscope in its forms, the official packages, and both together.

A function sets up each variant: it gets the library's name, and returns what settles the variant (drain and
flush), which is called inside the measured time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

Settle = Callable[[], object]
Setup = Callable[[str], Settle]


def bare(library: str) -> Settle:
    """The library alone."""
    return lambda: None


def capture(library: str) -> Settle:
    """poolscope: hooks, queue, drain into the ledger."""
    import poolscope
    from poolscope.queue import FACTS

    poolscope.instrument(signals=False)
    return FACTS.settle


def save(library: str) -> Settle:
    """poolscope as under ``poolscope run --save``: every record is written as a line of JSON."""
    import poolscope
    from poolscope import records
    from poolscope.instrumentor import INSTRUMENTOR
    from poolscope.queue import FACTS

    file = tempfile.TemporaryFile("w", encoding="utf-8")  # noqa: SIM115  (lives as long as the process)

    def write(record: records.Record) -> None:
        file.write(records.to_json(record) + "\n")

    INSTRUMENTOR.listen(write)
    poolscope.instrument(signals=False)

    def settle() -> None:
        FACTS.settle()
        file.flush()

    return settle


def providers(*, sampled: bool) -> tuple[Any, Any]:
    """An SDK that exports in batches to nowhere, and not on its own during a round."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import (
        MetricExporter,
        MetricExportResult,
        PeriodicExportingMetricReader,
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

    class NoSpans(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    class NoMetrics(MetricExporter):
        def export(self, metrics_data: Any, timeout_millis: float = 0, **kwargs: Any) -> MetricExportResult:
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis: float = 0) -> bool:
            return True

        def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None:
            return None

    tracer_provider = TracerProvider(sampler=ALWAYS_ON if sampled else ALWAYS_OFF)
    tracer_provider.add_span_processor(BatchSpanProcessor(NoSpans()))
    meter_provider = MeterProvider(
        [PeriodicExportingMetricReader(NoMetrics(), export_interval_millis=3_600_000)]
    )
    return tracer_provider, meter_provider


def _global_providers(*, sampled: bool) -> tuple[Any, Any]:
    from opentelemetry import metrics, trace

    tracing, metering = providers(sampled=sampled)
    trace.set_tracer_provider(tracing)
    metrics.set_meter_provider(metering)
    return tracing, metering


def _flush(*providers: Any) -> Settle:
    return lambda: [provider.force_flush() for provider in providers]


def use_official(library: str, *providers: Any) -> None:
    if library == "httpx":
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor as Instrumentor
    elif library == "aiohttp":
        from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor as Instrumentor
    else:
        from opentelemetry.instrumentation.requests import RequestsInstrumentor as Instrumentor
    Instrumentor().instrument(tracer_provider=providers[0], meter_provider=providers[1])


def _setup(sampled: bool, official: bool, ours: bool) -> Setup:
    def setup(library: str) -> Settle:
        os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
        given = _global_providers(sampled=sampled)
        if official:
            use_official(library, *given)
        if ours:
            import poolscope

            poolscope.instrument(tracer_provider=given[0], meter_provider=given[1])
        return _flush(*given)

    return setup


VARIANTS: dict[str, Setup] = {
    "bare": bare,
    "bare again": bare,
    "capture": capture,
    "capture, saved": save,
    "official, sampled": _setup(sampled=True, official=True, ours=False),
    "official, unsampled": _setup(sampled=False, official=True, ours=False),
    "poolscope, sampled": _setup(sampled=True, official=False, ours=True),
    "poolscope, unsampled": _setup(sampled=False, official=False, ours=True),
    "both, sampled": _setup(sampled=True, official=True, ours=True),
    "both, unsampled": _setup(sampled=False, official=True, ours=True),
}
