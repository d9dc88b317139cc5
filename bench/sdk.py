"""What does OpenTelemetry's SDK take? µs of each step of a request's span and histogram, with and without its waste.

    python -m bench.sdk

Each figure is the shortest of many short loops, so other load on the machine hardly matters; in a real program, with
colder caches, each step takes two to four times as long. *floor* is the least that any instrumentation does for a
request: one span with the attributes that the conventions require, and one measurement. The next row is the SDK's part
of a request's span as poolscope makes it on a reused connection. The two after it are all that poolscope's signals do
for a request: with the SDK's part, without the hooks. The improved steps replace functions of the SDK in this process
only. They show what a proposal in docs/upstream.md would save; poolscope does not work that way.
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
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics._internal import measurement
from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

from bench.variants import providers
from poolscope.facts import ENDED, Connection, Exchange, now
from poolscope.queue import FACTS
from poolscope.signals import Signals

LOOPS: Final = 1_500
EACH: Final = 20
ORIGIN: Final = (b"https", b"shop.example", None)
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
        self._signals = Signals(self.tracing, metering, LoggerProvider())
        self._reused = Connection(ORIGIN, FACTS.epoch)
        self._reused.peer, self._reused.http_version = ("192.0.2.1", 443), "1.1"
        first = Exchange(ORIGIN, FACTS.epoch, now(), b"GET", b"/")
        self._reused.opened_by = first.id
        self._signals.spans.request_started(first, None)
        self._signals.spans.setup_ended(self._reused, first)
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

    def linked(self) -> None:
        """The span of a request on a reused connection, as poolscope asks for it."""
        span = self.start()
        span.set_attributes(ANSWERED | OURS)
        if span.is_recording():
            span.add_link(self.link)
        span.end(AT)

    def exchange(self) -> tuple[Exchange]:
        """A request on a reused connection, as the hooks tell it, with all that is known at its end."""
        exchange = Exchange(ORIGIN, FACTS.epoch, now(), b"GET", b"/orders")
        exchange.pool_wait, exchange.assigned_at = 0.0, exchange.started_at
        exchange.request_number, exchange.reused, exchange.idle_time = 12, True, 0.001
        exchange.headers_at = exchange.finished_at = now()
        exchange.status, exchange.connection = 200, self._reused
        return (exchange,)

    def live(self, exchange: Exchange) -> None:
        """All that poolscope does for that span, on the request's path."""
        self._signals.spans.request_started(exchange, None)
        self._signals.spans.headers_received(exchange, None)

    def settled(self, exchange: Exchange) -> None:
        """All that poolscope does for its metrics, later and for many requests at once."""
        self._signals.totals.consume(ENDED, exchange)
        self._signals.metrics.publish()

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
            "span, 4 + 7 attributes, link": shortest(self.linked, tidy=self.tracing.force_flush),
            "poolscope's span": shortest(self.live, self.exchange, self.tracing.force_flush),
            "poolscope's sums, record": shortest(self.settled, self.exchange),
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
