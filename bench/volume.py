"""What does poolscope send? Bytes, spans, log records and series of 400 requests, compared with the official package.

    python -m bench.volume [--library requests] [--count 400]

``session``: all requests on one client, the healthy program; ``clients``: a client for each. OTLP protobuf in the SDK's
default batches, one export of metrics, spans and logs of one process; plain and gzipped. A histogram is a series for each
bucket, one for the rest, its sum and its count, as Prometheus keeps it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from bench.overhead import start
from bench.variants import use_official

SCENARIOS = ("session", "clients")
VARIANTS: dict[str, dict[str, Any] | None] = {
    "official": None,
    "poolscope": {},
    "poolscope, setup_spans=errors": {"setup_spans": "errors"},
    "poolscope, setup_spans=off, span_links=False, events=off": {
        "setup_spans": "off",
        "span_links": False,
        "events": "off",
    },
    "poolscope, setup_spans=full, events=all": {"setup_spans": "full", "events": "all"},
    "poolscope, all": {"setup_spans": "full", "events": "all", "span_facts": "full", "metric_buckets": "all"},
}
"""The official package, and poolscope with options."""


@dataclass
class Sent:
    """What was sent."""

    spans: int = 0
    logs: int = 0
    plain: int = 0
    gzipped: int = 0
    series: int = 0
    of_server: int = 0

    def add(self, message: Any) -> None:
        """Count a message."""
        data = message.SerializePartialToString()
        self.plain += len(data)
        self.gzipped += len(gzip.compress(data))


def providers(sent: Sent) -> tuple[Any, Any, Any]:
    """An SDK with exporters that encode and count."""
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import (
        BatchLogRecordProcessor,
        LogRecordExporter,
        LogRecordExportResult,
    )
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import (
        MetricExporter,
        MetricExportResult,
        PeriodicExportingMetricReader,
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Spans(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            sent.spans += len(spans)
            sent.add(encode_spans(spans))
            return SpanExportResult.SUCCESS

    class Logs(LogRecordExporter):
        def export(self, batch: Any) -> LogRecordExportResult:
            sent.logs += len(batch)
            sent.add(encode_logs(batch))
            return LogRecordExportResult.SUCCESS

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

        def shutdown(self) -> None:
            return None

    class Metrics(MetricExporter):
        def export(self, metrics_data: Any, timeout_millis: float = 0, **kwargs: Any) -> MetricExportResult:
            sent.add(encode_metrics(metrics_data))
            _count_series(metrics_data, sent)
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis: float = 0) -> bool:
            return True

        def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None:
            return None

    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(Spans()))
    meters = MeterProvider([PeriodicExportingMetricReader(Metrics())], shutdown_on_exit=False)
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(BatchLogRecordProcessor(Logs()))
    return tracers, meters, loggers


def _count_series(data: Any, sent: Sent) -> None:
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    series = len(point.bucket_counts) + 2 if hasattr(point, "bucket_counts") else 1
                    sent.series += series
                    if {"server.address", "dns.question.name"} & set(point.attributes):
                        sent.of_server += series


def worker(library: str, variant: str, scenario: str, url: str, count: int) -> Sent:
    """Make the requests in this process, in a given way."""
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    sent = Sent()
    tracers, meters, loggers = providers(sent)
    options = VARIANTS[variant]
    if options is None:
        use_official(library, tracers, meters)
    else:
        from poolscope import instrument

        instrument(tracer_provider=tracers, meter_provider=meters, logger_provider=loggers, **options)
    _ask(library, scenario, url, count)
    if options is not None:
        from poolscope import uninstrument

        uninstrument()
    for provider in (tracers, meters, loggers):
        provider.shutdown()
    return sent


def _ask(library: str, scenario: str, url: str, count: int) -> None:
    make: Callable[[], Any]
    if library == "httpx":
        import httpx

        make = httpx.Client
    else:
        import requests

        make = requests.Session
    if scenario == "clients":
        for _ in range(count):
            with make() as client:
                client.get(url)
        return
    with make() as client:
        for _ in range(count):
            client.get(url)


def table(library: str, scenario: str, measured: dict[str, Sent]) -> str:
    """The result as a Markdown table; × is relative to the official package."""
    official = measured["official"]
    lines = [
        f"**{library}, {scenario}**",
        "",
        "| variant | spans | log records | bytes | × | gzipped | × | series | of the server |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {variant} | {sent.spans:,} | {sent.logs:,} | {sent.plain:,} | {sent.plain / official.plain:.2f} "
        f"| {sent.gzipped:,} | {sent.gzipped / official.gzipped:.2f} | {sent.series} | {sent.of_server} |"
        for variant, sent in measured.items()
    ]
    return "\n".join(lines)


def measure(library: str, scenario: str, count: int) -> dict[str, Sent]:
    """Each variant in its own process."""
    measured = {}
    with ExitStack() as stack:
        server = start(stack, "bench.server")
        assert server.stdout is not None
        url = f"http://localhost:{int(server.stdout.readline())}/orders"
        for variant in VARIANTS:
            command = [sys.executable, "-m", "bench.volume", "--library", library, "--count", str(count)]
            done = subprocess.run(
                [*command, "--worker", variant, scenario, url], stdout=subprocess.PIPE, text=True, check=True
            )
            measured[variant] = Sent(**json.loads(done.stdout))
    return measured


def main() -> None:
    """Print a table for each library and scenario."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", choices=("httpx", "requests"))
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        variant, scenario, url = options.worker
        print(json.dumps(asdict(worker(options.library, variant, scenario, url, options.count))))
        return
    for library in [options.library] if options.library else ["requests", "httpx"]:
        for scenario in SCENARIOS:
            print(table(library, scenario, measure(library, scenario, options.count)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
