"""The instruments, and how sums reach them: drained and read inside the Observable callbacks.

All instruments exist from construction on. Callbacks report totals, so any number of readers may collect.
`publish` passes histograms and events on; call it where no lock is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Histogram, Meter, Observation

from poolscope import facts
from poolscope.facts import BEGUN, HookFailure, now
from poolscope.queue import FACTS
from poolscope.signals import names, table
from poolscope.signals.after_fork import forget
from poolscope.signals.collection import Collection
from poolscope.signals.events import Events
from poolscope.signals.exemplars import Exemplars, context_of
from poolscope.signals.options import Options
from poolscope.signals.pools import called, values
from poolscope.signals.redaction import method
from poolscope.signals.sums import (
    Attributes,
    Broken,
    Closed,
    Duration,
    Failed,
    Pending,
    Sample,
    Server,
    Unanswered,
)
from poolscope.signals.totals import Totals, protocol_version
from poolscope.story.pool import name_of

LINGER: Final = 12
"""How many collections report a gauge's series as 0 before it ends."""
SETTLE: Final = 1.0
"""Seconds a collection waits for a drain under way elsewhere."""

_DEFAULT: Final = Options()


class Metrics:
    """Instruments on one meter, reading one `Totals`."""

    def __init__(self, meter: Meter, totals: Totals, options: Options = _DEFAULT) -> None:
        self._totals = totals
        few = options.metric_buckets == "few"
        self.events: Events | None = None
        self.settle: Callable[[], Any] = FACTS.settle
        """Drains the queue before a collection."""
        self.live = False
        """Whether the hooks are in: only then live values are reported; sums always are."""
        self._shown: dict[str, dict[tuple[Any, ...], tuple[Attributes, int]]] = {}
        self._collection = Collection()
        self._histograms: dict[str, Histogram] = {}
        self._observables: list[Any] = []
        for name, metric in table.METRICS.items():
            if metric.kind == "histogram":
                self._histograms[name] = meter.create_histogram(
                    name,
                    unit=metric.unit,
                    description=metric.brief,
                    explicit_bucket_boundaries_advisory=metric.few if few else metric.buckets,
                )
        for name, read in _READERS.items():
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
        return f"<Metrics {'live' if self.live else 'at rest'}, {self._totals!r}>"

    def _callback(
        self, name: str, read: Callable[[Metrics], Iterable[Observation]]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def callback(_: CallbackOptions) -> Iterable[Observation]:
            first = self._collection.begins_with(name)
            # The SDK's locks do not survive a fork during an export, so a master that only forks exports nothing.
            if not len(FACTS) and self._totals.are_empty:
                return []
            if first:
                self.settle()
                self._totals.meet()
                self.publish()
                self._exemplars.renew()
            return list(read(self))

        return callback

    def after_fork(self) -> None:
        """In a forked child: forget everything that the parent reports."""
        self._shown.clear()
        self._collection = Collection()
        forget((*self._histograms.values(), *self._observables))

    def publish(self) -> None:
        """Pass on drained samples. Call it without holding a lock: it calls OpenTelemetry."""
        pending = self._totals.pending
        while pending:
            try:
                sample = pending.popleft()
            except IndexError:
                return  # another thread took the last one
            try:
                self._pass_on(sample)
            except (
                Exception
            ) as error:  # from somebody's exporter, view or processor: the next sample may work
                FACTS.put(BEGUN, HookFailure("signals.metrics", type(error).__name__, False))

    def _pass_on(self, sample: Pending) -> None:
        if isinstance(sample, Duration):
            context = self._exemplars.context(sample)
            self._durations.record(sample.value, sample.series.attributes, context=context)
        elif isinstance(sample, Sample):
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

    # Readers: one per Observable, each yields absolute values.

    def _servers(self) -> tuple[Server, ...]:
        return tuple(self._totals.servers.values())

    def failed(self) -> Iterable[Observation]:
        for at in self._servers():
            for (phase, error), count in tuple(at.failed.items()):
                about = {**at.attributes, names.PHASE: phase}
                if error is not None:
                    about[names.ERROR_TYPE] = error
                yield Observation(count, about)

    def broken(self) -> Iterable[Observation]:
        for at in self._servers():
            for error, count in tuple(at.broken.items()):
                yield Observation(count, {**at.attributes, names.ERROR_TYPE: error})

    def closed(self) -> Iterable[Observation]:
        for at in self._servers():
            for (reason, by), count in tuple(at.closed.items()):
                about = {**at.attributes, names.CLOSE_REASON: reason}
                if by is not None:
                    about[names.CLOSED_BY] = by
                yield Observation(count, about)

    def requests(self) -> Iterable[Observation]:
        for at in self._servers():
            routed = tuple(at.routes.items())  # before the sums, which must not lag behind
            left = {True: at.reused, False: at.fresh}
            for (route, reused), count in routed:
                left[reused] -= count
                yield Observation(count, {**at.attributes, names.REUSED: reused, names.ROUTE: route})
            for reused, count in left.items():
                yield Observation(count, {**at.attributes, names.REUSED: reused})

    def setup_time(self) -> Iterable[Observation]:
        for at in self._servers():
            for phase, seconds in tuple(at.phases.items()):
                yield Observation(seconds, {**at.attributes, names.PHASE: phase})

    def clients_created(self) -> Iterable[Observation]:
        for kind, count in tuple(self._totals.clients_created.items()):
            yield Observation(count, {names.CLIENT_KIND: kind})

    def clients_closed(self) -> Iterable[Observation]:
        closed = dict(self._totals.clients_closed)
        for kind in tuple(self._totals.clients_created):
            for how in ("close", "gc"):
                about = {names.CLIENT_KIND: kind, names.CLOSE_KIND: how}
                yield Observation(closed.get((kind, how), 0), about)

    def clients_alive(self) -> Iterable[Observation]:
        for kind, count in tuple(self._totals.clients_alive.items()):
            yield Observation(count, {names.CLIENT_KIND: kind})

    def pool_max(self) -> Iterable[Observation]:
        return self._linger(names.POOL_MAX, values(names.POOL_MAX))

    def pool_idle_max(self) -> Iterable[Observation]:
        return self._linger(names.POOL_IDLE_MAX, values(names.POOL_IDLE_MAX))

    def pool_count(self) -> Iterable[Observation]:
        return self._linger(names.POOL_COUNT, values(names.POOL_COUNT))

    def pool_timeouts(self) -> Iterable[Observation]:
        for at in self._servers():
            for pool, count in tuple(at.timeouts.items()):
                yield Observation(count, {**at.attributes, **called(pool)})

    def streams_count(self) -> Iterable[Observation]:
        return self._of_http2(names.STREAMS_COUNT, lambda sheet: len(sheet.in_flight))

    def streams_max(self) -> Iterable[Observation]:
        return self._of_http2(names.STREAMS_MAX, lambda sheet: sheet.max_streams or 0)

    def _of_http2(self, metric: str, read: Callable[[facts.Connection], int]) -> Iterable[Observation]:
        counts: dict[tuple[Any, ...], tuple[Attributes, float]] = {}
        for sheet, at in self._totals.open_connections():
            if sheet.max_streams is not None:
                _add(counts, (id(at),), at.attributes, read(sheet))
        return self._linger(metric, counts)

    def findings(self) -> Iterable[Observation]:
        for code, count in tuple(self._totals.findings.items()):
            yield Observation(count, {names.FINDING_CODE: code})

    def facts_dropped(self) -> Iterable[Observation]:
        yield Observation(FACTS.dropped, {})

    def hooks_disabled(self) -> Iterable[Observation]:
        for hook, count in tuple(self._totals.hooks_disabled.items()):
            yield Observation(count, {names.HOOK: hook})

    def open_connections(self) -> Iterable[Observation]:
        counts: dict[tuple[Any, ...], tuple[Attributes, float]] = {}
        for sheet, at in self._totals.open_connections():
            version = protocol_version(sheet)
            state = "active" if sheet.in_flight else "idle"
            for each in ("active", "idle"):
                about = {**at.attributes, names.PROTOCOL_VERSION: version, names.STATE: each}
                _add(counts, (id(at), version, each), about, each == state)
        return self._linger(names.OPEN_CONNECTIONS, counts)

    def active_requests(self) -> Iterable[Observation]:
        counts: dict[tuple[Any, ...], tuple[Attributes, float]] = {}
        for at in self._servers():
            for verb in tuple(at.methods):
                counts[id(at), verb] = ({**at.attributes, names.METHOD: verb}, 0)
        for sheet, at in self._totals.active_requests():
            verb = method(sheet.method)
            _add(counts, (id(at), verb), {**at.attributes, names.METHOD: verb}, 1)
        return self._linger(names.ACTIVE_REQUESTS, counts)

    def waiting(self) -> Iterable[Observation]:
        counts: dict[tuple[Any, ...], tuple[Attributes, float]] = {}
        for at in self._servers():
            counts[id(at), None] = (at.attributes, 0)
        for sheet, at in self._totals.waiting():
            pool = name_of(sheet.pool)
            _add(counts, (id(at), pool), {**at.attributes, **called(pool)}, 1)
        return self._linger(names.WAITING, counts)

    def oldest_wait(self) -> Iterable[Observation]:
        if not self.live:
            return
        oldest = _oldest_waits(self._totals.waiting())
        for at in self._servers():
            yield Observation(oldest.get(id(at), 0.0), at.attributes)

    def _linger(
        self, metric: str, counts: dict[tuple[Any, ...], tuple[Attributes, float]]
    ) -> list[Observation]:
        """Values, and zeros for series that were reported lately: otherwise a last 3 would seem to be still true."""
        shown = self._shown.setdefault(metric, {})
        if not self.live:
            counts = {}
        observations = [Observation(value, about) for about, value in counts.values()]
        for key, (about, left) in tuple(shown.items()):
            if key in counts:
                continue
            observations.append(Observation(0, about))
            if left > 1:
                shown[key] = (about, left - 1)
            else:
                shown.pop(key, None)
        for key, (about, _) in counts.items():
            shown[key] = (about, LINGER)
        return observations


def _add(
    counts: dict[tuple[Any, ...], tuple[Attributes, float]],
    key: tuple[Any, ...],
    about: Attributes,
    more: float,
) -> None:
    known = counts.get(key)
    counts[key] = (about, more) if known is None else (known[0], known[1] + more)


def _of_each(read: Callable[[Server], float]) -> Callable[[Metrics], Iterable[Observation]]:
    """A reader of one sum of each server."""
    return lambda metrics: (Observation(read(at), at.attributes) for at in metrics._servers())


_READERS: Final[dict[str, Callable[[Metrics], Iterable[Observation]]]] = {
    names.OPEN_CONNECTIONS: Metrics.open_connections,
    names.ACTIVE_REQUESTS: Metrics.active_requests,
    names.OPENED: _of_each(lambda at: at.opened),
    names.FAILED: Metrics.failed,
    names.CLOSED: Metrics.closed,
    names.BROKEN: Metrics.broken,
    names.REQUESTS_DONE: Metrics.requests,
    names.REUSE_IDLE_TIME: _of_each(lambda at: at.idle_time),
    names.SETUP_TIME: Metrics.setup_time,
    names.WAITING: Metrics.waiting,
    names.OLDEST_WAIT: Metrics.oldest_wait,
    names.CLIENTS_CREATED: Metrics.clients_created,
    names.CLIENTS_CLOSED: Metrics.clients_closed,
    names.CLIENTS_ALIVE: Metrics.clients_alive,
    names.POOL_MAX: Metrics.pool_max,
    names.POOL_IDLE_MAX: Metrics.pool_idle_max,
    names.POOL_COUNT: Metrics.pool_count,
    names.USE_TIME: _of_each(lambda at: at.use_time),
    names.POOL_TIMEOUTS: Metrics.pool_timeouts,
    names.STREAMS_COUNT: Metrics.streams_count,
    names.STREAMS_MAX: Metrics.streams_max,
    names.FINDINGS: Metrics.findings,
    names.FACTS_DROPPED: Metrics.facts_dropped,
    names.HOOKS_DISABLED: Metrics.hooks_disabled,
}


def _oldest_waits(waiting: list[tuple[facts.Exchange, Server]]) -> dict[int, float]:
    """Seconds the oldest waiter of each server has waited, by the server's identity."""
    at = now()
    oldest: dict[int, float] = {}
    for exchange, where in waiting:
        oldest[id(where)] = max(oldest.get(id(where), 0.0), at - exchange.started_at)
    return oldest
