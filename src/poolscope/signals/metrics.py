"""The instruments, and how values reach them: drained and read inside the Observable callbacks.

All instruments exist from construction on. Callbacks report totals, so any number of readers may collect.
`publish` passes histograms and events on; call it where no lock is held. `finish` waits for other threads that do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from poolscope.facts import BEGUN, HookFailure, now
from poolscope.genuine import get_ident, sleep
from poolscope.queue import FACTS
from poolscope.signals import names, table
from poolscope.signals.after_fork import forget
from poolscope.signals.collection import Collection
from poolscope.signals.events import Events
from poolscope.signals.exemplars import Exemplars, context_of
from poolscope.signals.options import Options
from poolscope.signals.readings import READERS, Reader, Readings
from poolscope.signals.sums import (
    Broken,
    Closed,
    Duration,
    Failed,
    Rare,
    Sample,
    Unanswered,
)
from poolscope.signals.totals import Totals

SETTLE: Final = 1.0
"""Seconds a collection waits for a drain under way elsewhere, and for a thread that passes on what was drained."""

_DEFAULT: Final = Options()


class Metrics:
    """Instruments on one meter, reading one `Totals`."""

    def __init__(self, meter: Meter, totals: Totals, options: Options = _DEFAULT) -> None:
        self._totals = totals
        few = options.metric_buckets == "few"
        self.events: Events | None = None
        self.settle: Callable[[], Any] = FACTS.settle
        """Drains the queue before a collection."""
        self.readings = Readings(totals)
        self._collection = Collection()
        self._histograms: dict[str, Histogram] = {}
        self._observables: list[Any] = []
        self._publishers: set[tuple[int, object]] = set()
        """Threads that are passing on drained samples, once for each time that they do."""
        for name, metric in table.METRICS.items():
            if metric.kind == "histogram":
                self._histograms[name] = meter.create_histogram(
                    name,
                    unit=metric.unit,
                    description=metric.brief,
                    explicit_bucket_boundaries_advisory=metric.few if few else metric.buckets,
                )
        for name, read in READERS.items():
            metric = table.METRICS[name]
            create = {
                "counter": meter.create_observable_counter,
                "updowncounter": meter.create_observable_up_down_counter,
                "gauge": meter.create_observable_gauge,
            }[metric.kind]
            callbacks = [self._callback(name, read)]
            self._observables.append(
                create(name, callbacks=callbacks, unit=metric.unit, description=metric.brief)
            )

        duration = table.METRICS[names.REQUEST_DURATION]
        self._durations = self._histograms[names.REQUEST_DURATION]
        self._exemplars = Exemplars((duration.few if few else duration.buckets) or ())

    def __repr__(self) -> str:
        return f"<Metrics {self.readings!r}, {self._totals!r}>"

    def _callback(self, name: str, read: Reader) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(_: CallbackOptions) -> Iterable[Observation]:
            first = self._collection.begins_with(name)
            # A gRPC channel that was used does not survive a fork, so a master that only forks exports nothing.
            if not len(FACTS) and self._totals.are_empty:
                return []
            if first:
                self.settle()
                self._totals.meet()
                self.finish()
                self._exemplars.renew()
                self._collection.goes_on()
            return list(read(self.readings))

        return callback

    def after_fork(self) -> None:
        """In a forked child: forget everything that the parent reports."""
        self.readings.forget()
        self._collection = Collection()
        self._publishers.clear()
        forget((*self._histograms.values(), *self._observables))

    def publish(self) -> None:
        """Pass on drained samples. Call it without holding a lock: it calls OpenTelemetry."""
        token = get_ident(), object()
        try:
            self._publishers.add(token)
            self._pass_all_on()
        finally:
            self._publishers.discard(token)

    def finish(self) -> None:
        """Pass on drained samples, and wait for other threads that have taken some and not passed them on yet."""
        self.publish()
        me, deadline = get_ident(), now() + SETTLE
        others = {token for token in list(self._publishers) if token[0] != me}
        while others & self._publishers and now() < deadline:
            sleep(0.001)

    def _pass_all_on(self) -> None:
        pending = self._totals.pending
        while pending:
            try:
                sample = pending.popleft()
            except IndexError:
                return  # another thread took the last one
            try:
                if isinstance(sample, Duration):
                    value, series, span = sample
                    context = self._exemplars.context(value, series, span)
                    self._durations.record(value, series.attributes, context)
                else:
                    self._pass_on(sample)
            except (
                Exception
            ) as error:  # from somebody's exporter, view or processor: the next sample may work
                FACTS.put(BEGUN, HookFailure("signals.metrics", type(error).__name__, False))

    def _pass_on(self, sample: Rare) -> None:
        if isinstance(sample, Sample):
            histogram = self._histograms[sample.metric]
            histogram.record(sample.value, sample.attributes, context=context_of(sample.span))
        elif self.events is None:
            return
        elif isinstance(sample, Closed):
            self.events.closed(sample, context_of(sample.span))
        elif isinstance(sample, Failed):
            self.events.setup_failed(sample, context_of(sample.span))
        elif isinstance(sample, Unanswered):
            self.events.exception(sample, context_of(sample.span))
        elif isinstance(sample, Broken):
            self.events.broken(sample, context_of(sample.span))
        else:
            self.events.finding(sample.finding, context_of(sample.span))
