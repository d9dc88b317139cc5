"""What does OpenTelemetry's SDK take? µs of each step of a request's span and histogram, with and without its waste.

    python -m bench.sdk

Each figure is the shortest of many short loops, so other load on the machine hardly matters; in a real program, with
colder caches, each step takes two to four times as long. *floor* is the least that any instrumentation does for a
request: one span with the attributes that the conventions require, and one measurement. The improved steps replace
functions of the SDK in this process only. They show what a proposal in docs/upstream.md would save; poolscope does not
work that way.
"""

from __future__ import annotations

import gc
import math
import time
from bisect import bisect_left
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from opentelemetry import attributes as cleaning
from opentelemetry.context import Context
from opentelemetry.sdk.metrics._internal import measurement
from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

from bench.variants import providers

LOOPS: Final = 1_500
EACH: Final = 20
ASKED: Final = {
    "http.request.method": "GET",
    "server.address": "shop.example",
    "server.port": 443,
    "url.full": "https://shop.example/orders",
}
ANSWERED: Final = {
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
    "network.peer.address": "192.0.2.1",
    "network.peer.port": 443,
}
OURS: Final = {
    "poolscope.connection.id": 7,
    "poolscope.connection.reused": True,
    "poolscope.connection.request_number": 12,
}
MEASURED: Final = {
    "http.request.method": "GET",
    "server.address": "shop.example",
    "server.port": 443,
    "network.protocol.version": "1.1",
    "http.response.status_code": 200,
}
AT: Final = 1_700_000_000_000_000_000


def shortest(
    step: Callable[..., object],
    make: Callable[[], tuple[Any, ...]] = tuple,
    tidy: Callable[[], object] = tuple,
) -> float:
    """µs of one call of ``step`` with what ``make`` returns; ``tidy`` runs between loops."""
    best = math.inf
    for _ in range(LOOPS):
        tidy()
        given = [make() for _ in range(EACH)]
        begun = time.perf_counter_ns()
        for each in given:
            step(*each)
        best = min(best, time.perf_counter_ns() - begun)
    return best / EACH / 1e3


class Steps:
    """An SDK as in the benchmarks, and what a request asks of it."""

    def __init__(self, *, sampled: bool) -> None:
        self.tracing, metering = providers(sampled=sampled)
        self._tracer = self.tracing.get_tracer("bench")
        self._meter = metering.get_meter("bench")
        self.histogram = self._meter.create_histogram("http.client.request.duration", unit="s")
        span = self._tracer.start_span("setup")
        self.link = span.get_span_context()
        self.empty = Context({"nothing": True})
        self.within = set_span_in_context(NonRecordingSpan(self.link), self.empty)

    def start(self, attributes: dict[str, Any] | None = None) -> Any:
        """A span that has begun."""
        return self._tracer.start_span(
            "GET", kind=SpanKind.CLIENT, attributes=attributes or ASKED, start_time=AT
        )

    def record(self, context: Context | None = None) -> None:
        """Record a duration."""
        self.histogram.record(0.012, MEASURED, context=self.empty if context is None else context)

    def floor(self) -> None:
        """A request's span and its duration."""
        span = self.start()
        span.set_attributes(ANSWERED)
        span.end(AT)
        self.record()

    def table(self) -> dict[str, float]:
        """µs by step."""

        def started() -> tuple[Any]:
            return (self.start(),)

        return {
            "start_span, 4 attributes": shortest(self.start),
            "set_attributes, 4": shortest(lambda span: span.set_attributes(ANSWERED), started),
            "set_attributes, 7": shortest(lambda span: span.set_attributes(ANSWERED | OURS), started),
            "add_link": shortest(lambda span: span.add_link(self.link), started),
            "end": shortest(lambda span: span.end(AT), started, self.tracing.force_flush),
            "record, 5 attributes": shortest(self.record),
            "record, in a span's context": shortest(lambda: self.record(self.within)),
            "floor": shortest(self.floor, tidy=self.tracing.force_flush),
        }


_PLAIN: Final = frozenset((str, bool, int, float, bytes, type(None)))


def _clean(value: Any, longest: int | None) -> Any:
    """The SDK's cleaning, but checking the type of each plain value only once."""
    if type(value) in (dict, MappingProxyType) and longest is None:
        for key, each in value.items():
            if type(each) not in _PLAIN or type(key) is not str or not key:
                break
        else:
            return value.copy()
    return _cleaned_by_the_sdk(value, longest)


_cleaned_by_the_sdk: Final = cleaning._clean_attribute_value


def quickly_cleaned() -> None:
    """Replace the SDK's cleaning."""
    for module in (cleaning, measurement):
        vars(module)["_clean_attribute_value"] = _clean


def bound(steps: Steps) -> Callable[[float], None]:
    """Records into the one series of ``steps``, as an instrument bound to its attributes could."""
    steps.record()
    consumer: Any = steps.histogram._measurement_consumer
    (storage,) = consumer._reader_storages.values()
    (match,) = storage._instrument_view_instrument_matches[steps.histogram]
    (series,) = match._attributes_aggregation.values()

    def record(value: float) -> None:
        with series._lock:
            if series._value is None:
                series._value = series._get_empty_bucket_counts()
            series._sum += value
            series._min = min(series._min, value)
            series._max = max(series._max, value)
            series._value[bisect_left(series._boundaries, value)] += 1

    return record


def main() -> None:
    """Print the table."""
    gc.disable()
    sampled, unsampled = Steps(sampled=True), Steps(sampled=False)
    columns = [sampled.table(), unsampled.table()]
    into_series = bound(sampled)
    quickly_cleaned()
    columns.append(sampled.table())
    print("| step | sampled | unsampled | sampled, cleaned quickly |\n|---|---:|---:|---:|")
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(f"{column[name]:.2f}" for column in columns) + " |")
    print(f"| record, bound to its attributes | {shortest(lambda: into_series(0.012)):.2f} | | |")


if __name__ == "__main__":
    main()
