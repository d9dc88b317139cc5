"""The official OTLP exporters, and the buffers in front of them.

Nothing is sent in the program's own threads: their spans and events wait here for poolscope's thread.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

from poolscope.recording.endpoint import Endpoint
from poolscope.recording.errors import UsageError

QUEUE: Final = 16_384
"""Spans (and as many events) that may wait for the collector; then the oldest are dropped and counted."""
BATCH: Final = 512
SIGNALS: Final = ("traces", "metrics", "logs")
_TALKATIVE: Final = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.common.http",
    "urllib3.connectionpool",
)
"""Loggers, beside the exporters' own, that report each attempt to deliver."""


_MODULES: Final = {
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
}
_EXPORTERS: Final = {
    "traces": ("trace_exporter", "OTLPSpanExporter"),
    "metrics": ("metric_exporter", "OTLPMetricExporter"),
    "logs": ("_log_exporter", "OTLPLogExporter"),
}


def check(endpoint: Endpoint) -> None:
    """UsageError if the packages for `new_exporters` are missing. Only our own thread imports them: they would import
    ``ssl`` and ``requests`` before the program does, which may want to patch these first.
    """
    for signal in SIGNALS:
        module = _MODULES[endpoint.protocol_of(signal)]
        extra, client = ("otlp-grpc", "grpc") if module.endswith("grpc") else ("otlp", "requests")
        for name in ("opentelemetry.sdk", module, client):
            try:
                found = find_spec(name)
            except ImportError:
                found = None
            if found is None:
                raise UsageError(
                    f"--otlp needs more packages: pip install 'poolscope[{extra}]' ({name} is missing)"
                )


def new_exporters(endpoint: Endpoint) -> dict[str, Any]:
    """The official exporter for each signal, which reads the rest of ``OTEL_EXPORTER_OTLP_*`` itself."""
    return {signal: _exporter(endpoint, signal) for signal in SIGNALS}


def _exporter(endpoint: Endpoint, signal: str) -> Any:
    protocol = endpoint.protocol_of(signal)
    module, name = _EXPORTERS[signal]
    with _fork_support() if protocol == "grpc" else nullcontext():
        kind = getattr(import_module(f"{_MODULES[protocol]}.{module}"), name)
    return kind(endpoint=endpoint.url if protocol == "grpc" else f"{endpoint.url}/v1/{signal}")


def preferred_temporality() -> dict[type, Any]:
    """How the environment wants sums exported; read as the exporters do, because it is needed before they exist."""
    from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
    from opentelemetry.sdk.metrics.export import AggregationTemporality

    asked = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "").strip().lower()
    kinds: tuple[type, ...] = ()
    if asked in ("delta", "lowmemory"):
        kinds = (Counter, Histogram, ObservableCounter) if asked == "delta" else (Counter, Histogram)
    return dict.fromkeys(kinds, AggregationTemporality.DELTA)


def preferred_aggregation() -> dict[type, Any]:
    """Which histogram the environment wants."""
    from opentelemetry.sdk.metrics import Histogram
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

    asked = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "").strip().lower()
    if asked == "base2_exponential_bucket_histogram":
        return {Histogram: ExponentialBucketHistogramAggregation()}
    return {}


@contextmanager
def _fork_support() -> Iterator[None]:
    """Let gRPC survive forks; it looks at its environment as it is imported, and the program keeps its own."""
    name = "GRPC_ENABLE_FORK_SUPPORT"
    if name in os.environ:
        yield
        return
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name, None)


def silence(exporters: dict[str, Any], here: Callable[[], bool]) -> None:
    """Keep what is logged about our own deliveries out of the program's log."""
    only_others = _OnlyOthers(here)
    for name in {*(type(exporter).__module__ for exporter in exporters.values()), *_TALKATIVE}:
        logging.getLogger(name).addFilter(only_others)


class _OnlyOthers(logging.Filter):
    def __init__(self, here: Callable[[], bool]) -> None:
        super().__init__()
        self._here = here

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        return not self._here()


class Waiting:
    """Keeps what waits for the collector; the SDK uses it as an exporter."""

    def __init__(self, nudge: Callable[[], None]) -> None:
        self._items: deque[Any] = deque()
        self._nudge = nudge
        self.lost = 0
        """How many were dropped because the buffer was full, or refused by the collector."""
        self.under_way = 0
        """How many are in a delivery that has not ended."""

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<Waiting {len(self)}, {self.lost} lost>"

    @property
    def unsent(self) -> int:
        """How many have not been delivered."""
        return self.under_way + len(self)

    def export(self, batch: Sequence[Any]) -> None:
        """Keep ``batch`` for later."""
        for item in batch:
            if len(self._items) >= QUEUE:
                self.take(1)
                self.lost += 1
            self._items.append(item)
        if len(self._items) >= BATCH:
            self._nudge()

    def take(self, limit: int) -> list[Any]:
        """Up to ``limit`` items, the oldest first."""
        taken: list[Any] = []
        try:
            while len(taken) < limit:
                taken.append(self._items.popleft())
        except IndexError:  # another thread took the last one
            pass
        return taken

    def shutdown(self) -> None:
        """Nothing to close here."""

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Nothing to send from here."""
        return timeout_millis >= 0
