"""OpenTelemetry as a service sets it up: three providers that export over OTLP, and poolscope."""

import socket
import sys
import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import poolscope


def collector_listens(endpoint: str) -> bool:
    """Whether something accepts connections there."""
    url = urlsplit(endpoint)
    try:
        socket.create_connection((url.hostname or "", url.port or 4318), timeout=2).close()
    except (OSError, ValueError):
        return False
    return True


def start(service: str, endpoint: str, every: float) -> Callable[[], None]:
    """Export over OTLP/HTTP to `endpoint`, metrics every `every` seconds; returns the shutdown function."""
    if not collector_listens(endpoint):
        print(
            f"{service}: no Collector at {endpoint}: serving without it, exports are tried again and then dropped; "
            "start one (make stack-local) or name another with --otlp",
            file=sys.stderr,
            flush=True,
        )
    resource = Resource.create({"service.name": service, "service.instance.id": str(uuid.uuid4())})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{endpoint}/v1/metrics"), export_interval_millis=every * 1000
    )
    metering = MeterProvider(resource=resource, metric_readers=[reader])
    logging = LoggerProvider(resource=resource)
    logging.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{endpoint}/v1/logs")))
    trace.set_tracer_provider(tracing)
    set_meter_provider(metering)
    set_logger_provider(logging)
    poolscope.instrument(
        tracer_provider=tracing,
        meter_provider=metering,
        logger_provider=logging,
        setup_spans="full",
        events="all",
    )

    def shut_down() -> None:
        for provider in (tracing, metering, logging):
            provider.shutdown()

    return shut_down
