"""What each metric that is not a histogram says: the sums and what is live, as absolute values by attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from opentelemetry.metrics import Observation

from poolscope import facts
from poolscope.facts import now
from poolscope.queue import FACTS
from poolscope.signals import names
from poolscope.signals.lingering import Counts, Key, Lingering
from poolscope.signals.pools import called, values
from poolscope.signals.redaction import method
from poolscope.signals.sums import Attributes, Server
from poolscope.signals.totals import Totals, protocol_version
from poolscope.story.pool import name_of


class Readings:
    """Reads one `Totals`; the name of a metric leads to its reader in `READERS`."""

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        self._lingering = Lingering()
        self.live = False
        """Whether the hooks are in: only then live values are reported; sums always are."""

    def __repr__(self) -> str:
        return f"<Readings {'live' if self.live else 'at rest'}>"

    def forget(self) -> None:
        """In a forked child: what was reported lately is the parent's."""
        self._lingering = Lingering()

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
        return self._of_live(names.POOL_MAX, values(names.POOL_MAX))

    def pool_idle_max(self) -> Iterable[Observation]:
        return self._of_live(names.POOL_IDLE_MAX, values(names.POOL_IDLE_MAX))

    def pool_count(self) -> Iterable[Observation]:
        return self._of_live(names.POOL_COUNT, values(names.POOL_COUNT))

    def pool_timeouts(self) -> Iterable[Observation]:
        for at in self._servers():
            for pool, count in tuple(at.timeouts.items()):
                yield Observation(count, {**at.attributes, **called(pool)})

    def streams_count(self) -> Iterable[Observation]:
        return self._of_http2(names.STREAMS_COUNT, lambda sheet: len(sheet.in_flight))

    def streams_max(self) -> Iterable[Observation]:
        return self._of_http2(names.STREAMS_MAX, lambda sheet: sheet.max_streams or 0)

    def _of_http2(self, metric: str, read: Callable[[facts.Connection], int]) -> Iterable[Observation]:
        counts: Counts = {}
        for sheet, at in self._totals.open_connections():
            if sheet.max_streams is not None:
                _add(counts, (id(at),), at.attributes, read(sheet))
        return self._of_live(metric, counts)

    def findings(self) -> Iterable[Observation]:
        for code, count in tuple(self._totals.findings.items()):
            yield Observation(count, {names.FINDING_CODE: code})

    def facts_dropped(self) -> Iterable[Observation]:
        yield Observation(FACTS.dropped, {})

    def hooks_disabled(self) -> Iterable[Observation]:
        for hook, count in tuple(self._totals.hooks_disabled.items()):
            yield Observation(count, {names.HOOK: hook})

    def open_connections(self) -> Iterable[Observation]:
        counts: Counts = {}
        for sheet, at in self._totals.open_connections():
            version = protocol_version(sheet)
            state = "active" if sheet.in_flight else "idle"
            for each in ("active", "idle"):
                about = {**at.attributes, names.PROTOCOL_VERSION: version, names.STATE: each}
                _add(counts, (id(at), version, each), about, each == state)
        return self._of_live(names.OPEN_CONNECTIONS, counts)

    def active_requests(self) -> Iterable[Observation]:
        counts: Counts = {}
        for at in self._servers():
            for verb in tuple(at.methods):
                counts[id(at), verb] = ({**at.attributes, names.METHOD: verb}, 0)
        for sheet, at in self._totals.active_requests():
            verb = method(sheet.method)
            _add(counts, (id(at), verb), {**at.attributes, names.METHOD: verb}, 1)
        return self._of_live(names.ACTIVE_REQUESTS, counts)

    def waiting(self) -> Iterable[Observation]:
        counts: Counts = {}
        for at in self._servers():
            counts[id(at), None] = (at.attributes, 0)
        for sheet, at in self._totals.waiting():
            pool = name_of(sheet.pool)
            _add(counts, (id(at), pool), {**at.attributes, **called(pool)}, 1)
        return self._of_live(names.WAITING, counts)

    def oldest_wait(self) -> Iterable[Observation]:
        if not self.live:
            return
        oldest = _oldest_waits(self._totals.waiting())
        for at in self._servers():
            yield Observation(oldest.get(id(at), 0.0), at.attributes)

    def _of_live(self, metric: str, counts: Counts) -> Iterable[Observation]:
        return self._lingering.of(metric, counts if self.live else {})


Reader: TypeAlias = Callable[[Readings], Iterable[Observation]]


def _add(
    counts: Counts,
    key: Key,
    about: Attributes,
    more: float,
) -> None:
    known = counts.get(key)
    counts[key] = (about, more) if known is None else (known[0], known[1] + more)


def _of_each(read: Callable[[Server], float]) -> Reader:
    """A reader of one sum of each server."""
    return lambda readings: (Observation(read(at), at.attributes) for at in readings._servers())


READERS: Final[dict[str, Reader]] = {
    names.OPEN_CONNECTIONS: Readings.open_connections,
    names.ACTIVE_REQUESTS: Readings.active_requests,
    names.OPENED: _of_each(lambda at: at.opened),
    names.FAILED: Readings.failed,
    names.CLOSED: Readings.closed,
    names.BROKEN: Readings.broken,
    names.REQUESTS_DONE: Readings.requests,
    names.REUSE_IDLE_TIME: _of_each(lambda at: at.idle_time),
    names.SETUP_TIME: Readings.setup_time,
    names.WAITING: Readings.waiting,
    names.OLDEST_WAIT: Readings.oldest_wait,
    names.CLIENTS_CREATED: Readings.clients_created,
    names.CLIENTS_CLOSED: Readings.clients_closed,
    names.CLIENTS_ALIVE: Readings.clients_alive,
    names.POOL_MAX: Readings.pool_max,
    names.POOL_IDLE_MAX: Readings.pool_idle_max,
    names.POOL_COUNT: Readings.pool_count,
    names.USE_TIME: _of_each(lambda at: at.use_time),
    names.POOL_TIMEOUTS: Readings.pool_timeouts,
    names.STREAMS_COUNT: Readings.streams_count,
    names.STREAMS_MAX: Readings.streams_max,
    names.FINDINGS: Readings.findings,
    names.FACTS_DROPPED: Readings.facts_dropped,
    names.HOOKS_DISABLED: Readings.hooks_disabled,
}


def _oldest_waits(waiting: list[tuple[facts.Exchange, Server]]) -> dict[int, float]:
    """Seconds the oldest waiter of each server has waited, by the server's identity."""
    at = now()
    oldest: dict[int, float] = {}
    for exchange, where in waiting:
        oldest[id(where)] = max(oldest.get(id(where), 0.0), at - exchange.started_at)
    return oldest
