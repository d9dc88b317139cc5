"""Connections and requests worth drawing, in bounded memory.

Up to `LIMIT` of each, all are kept. Beyond that, only every second, fourth, eighth … ordinary one stays; those that
failed or waited are thinned only if they alone are too many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from poolscope.findings.known import Key
from poolscope.records import Client, Connection, Exchange, Phase, Record
from poolscope.reports.html.columns import NONE, Columns, Texts, micros, whole
from poolscope.reports.lanes import PHASES, TROUBLE
from poolscope.reports.places import OTHER_SITE, UNSEEN
from poolscope.reports.tally import WAITED, Site
from poolscope.reports.tracker import InProgress, Tracker, is_in_progress, is_over

LIMIT: Final = 120_000
"""Requests, and connections, that the page holds at most."""

REUSED, JOINED, FRESH, CUT, IN_PROGRESS, FOR_STREAM = 1, 2, 4, 8, 16, 32
"""Flags of a request: how it got its connection, its body not read to the end, no end yet."""


class _Built(NamedTuple):
    """A client; its construction is drawn on the lane of its first connection."""

    site: Site
    created_at: float | None
    construction_time: float | None


class _Lane:
    """A connection that may still change."""

    __slots__ = ("built", "number", "record", "seen", "site")

    def __init__(self, number: int, record: Connection, site: Site, built: _Built | None) -> None:
        self.number = number
        self.record = record
        self.site = site
        self.built = built
        self.seen = 0

    @property
    def troubled(self) -> bool:
        return self.record.failed_phase is not None or self.record.close_reason in TROUBLE


class Thinning:
    """Keeps one in so many rows of a kind."""

    def __init__(self) -> None:
        self.step = 1
        self.seen = 0

    def __repr__(self) -> str:
        return f"<Thinning 1 in {self.step} of {self.seen}>"

    def place(self) -> int:
        """The number of the next row."""
        self.seen += 1
        return self.seen - 1

    def keeps(self, place: int) -> bool:
        """Whether the row of that number stays."""
        return place % self.step == 0


class Sample:
    """Feed it every record of a stream; `finish` completes its tables."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.texts = Texts()
        self.groups: dict[tuple[str, Site], int] = {}
        """(origin, where its clients are built) → number."""
        self.ordinary, self.remarkable = Thinning(), Thinning()
        self.lanes_seen = 0
        phases = {f"{phase}_{what}": "d" for phase in PHASES for what in ("at", "took", "busy")}
        self.connections = Columns(
            **dict.fromkeys(("lane", "troubled", "seen", "group", "pid", "id", "client", "requests"), "I"),
            **dict.fromkeys(
                ("built_at", "built_took", "setup_at", "opened_at", "closed_at", "close_took"), "d"
            ),
            **dict.fromkeys(("failed_phase", "close_reason", "closed_by", "error", "peer", "local"), "I"),
            **dict.fromkeys(("http_version", "tls_version", "via", "inherited"), "I"),
            **phases,
        )
        self.exchanges = Columns(
            **dict.fromkeys(("lane", "place", "remarkable", "group", "pid", "id", "number", "stream"), "I"),
            **dict.fromkeys(
                ("method", "url", "status", "error", "flags", "site", "relation", "previous", "state"), "I"
            ),
            **dict.fromkeys(("started_at", "waited", "sent_at", "headers_at", "finished_at", "idle"), "d"),
        )
        self._clients: Tracker[_Built] = Tracker()
        self._shown: dict[Key, None] = {}
        """Clients with their construction already drawn on a lane."""
        self._lanes: Tracker[_Lane] = Tracker()
        self._in_progress = InProgress()
        self._take: dict[type, Callable[..., None]] = {
            Client: self._client,
            Connection: self._connection,
            Exchange: self._exchange,
        }

    def __repr__(self) -> str:
        return f"<Sample {len(self.exchanges)} requests on {len(self.connections)} connections>"

    def add(self, record: Record) -> None:
        """Take in the next record."""
        take = self._take.get(type(record))
        if take is not None:
            take(record)

    def finish(self) -> None:
        """Add rows for what is still open or in progress, as it was at the end."""
        for exchange in self._in_progress:
            self._add_exchange(exchange)
        for lane in self._lanes.open():
            self._add_lane(lane)
        self._thin()
        self._drop_lanes()

    def _client(self, record: Client) -> None:
        key = (record.pid, record.id)
        if not is_over(record):
            site = Site(record.kind, record.call_site, record.sdk_call_site)
            self._clients[key] = _Built(site, record.created_at, record.construction_time)
        elif self._clients.end(key):
            self._shown.pop(key, None)

    def _connection(self, record: Connection) -> None:
        key = (record.pid, record.id)
        lane = self._lanes.get(*key)
        if lane is None:
            lane = self._lanes[key] = self._new_lane(record)
        elif not self._lanes.is_open(key):
            return
        lane.record = record
        if is_over(record):
            self._lanes.end(key)
            self._add_lane(lane)

    def _new_lane(self, record: Connection) -> _Lane:
        self.lanes_seen += 1
        built = self._clients.get(record.pid, record.client)
        site = built.site if built else UNSEEN
        owner = (record.pid, record.client or 0)
        if owner in self._shown or not self._clients.is_open(owner):
            built = None
        else:
            self._shown[owner] = None
        return _Lane(self.lanes_seen - 1, record, site, built)

    def _exchange(self, record: Exchange) -> None:
        if self._in_progress.over(record):
            self._add_exchange(record)

    def _add_exchange(self, record: Exchange) -> None:
        lane = None if record.connection is None else self._lanes.get(record.pid, record.connection)
        if lane is not None:
            lane.seen += 1
        remarkable = is_remarkable(record)
        thinning = self.remarkable if remarkable else self.ordinary
        place = thinning.place()
        if not thinning.keeps(place):
            return
        self.exchanges.append(self._exchange_row(record, lane, place, remarkable))
        if len(self.exchanges) > self.limit:
            self._thin()

    def _exchange_row(
        self, record: Exchange, lane: _Lane | None, place: int, remarkable: bool
    ) -> tuple[float, ...]:
        number = self.texts.number
        if lane is not None and lane.record.origin == record.origin:
            site = lane.site
        else:
            built = self._clients.get(record.pid, record.client)
            site = built.site if built else UNSEEN._replace(call_site=record.call_site)
        return (
            NONE if lane is None else lane.number,
            place,
            remarkable,
            self._group(record.origin, site),
            record.pid,
            whole(record.id),
            whole(record.request_number),
            whole(record.stream_id),
            number(record.method),
            number(record.url),
            whole(record.status),
            number(record.error),
            _flags(record),
            number(str(record.call_site) if record.call_site else None),
            number(record.relation),
            whole(record.previous),
            number(record.state),
            micros(record.started_at),
            micros(record.pool_wait),
            micros(record.sent_at),
            micros(record.headers_at),
            micros(record.finished_at),
            micros(record.idle_time),
        )

    def _add_lane(self, lane: _Lane) -> None:
        self.connections.append(self._lane_row(lane))
        if len(self.connections) > self.limit:
            self._drop_lanes()
            if len(self.connections) > self.limit:
                self._double()
                self._drop_lanes()

    def _lane_row(self, lane: _Lane) -> tuple[float, ...]:
        record, number, built = lane.record, self.texts.number, lane.built
        phases = [record.setup.get(phase) for phase in PHASES]
        return (
            lane.number,
            lane.troubled,
            lane.seen,
            self._group(record.origin, lane.site),
            record.pid,
            whole(record.id),
            whole(record.client),
            record.requests,
            micros(built.created_at if built else None),
            micros(built.construction_time if built else None),
            micros(record.setup_started_at),
            micros(record.opened_at),
            micros(record.closed_at),
            micros(record.close_time),
            number(record.failed_phase),
            number(record.close_reason),
            number(record.closed_by),
            number(record.error),
            number(_address(record.peer_address, record.peer_port)),
            number(_address(record.local_address, record.local_port)),
            number(record.http_version),
            number(record.tls_version),
            number(record.via),
            record.inherited,
            *(value for part in phases for value in _phase(part)),
        )

    def _group(self, origin: str, site: Site) -> int:
        key = (origin, site)
        if key not in self.groups and len(self.groups) >= 10_000:
            key = (origin, OTHER_SITE) if (origin, OTHER_SITE) in self.groups else ("other", OTHER_SITE)
        return self.groups.setdefault(key, len(self.groups))

    def _thin(self) -> None:
        while len(self.exchanges) > self.limit:
            self._double()

    def _double(self) -> None:
        """Forget half of the ordinary requests, or of the remarkable ones if these are the majority."""
        columns = self.exchanges.columns
        remarkable = sum(columns["remarkable"])
        much = self.remarkable if 2 * remarkable > len(self.exchanges) else self.ordinary
        much.step *= 2
        of = (self.ordinary, self.remarkable)
        pairs = zip(columns["place"], columns["remarkable"], strict=True)
        self.exchanges.keep([of[kind].keeps(place) for place, kind in pairs])

    def _drop_lanes(self) -> None:
        """Forget connections without a kept request, unless they are remarkable themselves."""
        if self.ordinary.step == self.remarkable.step == 1 and len(self.connections) <= self.limit:
            return
        used = set(self.exchanges.columns["lane"])
        columns = self.connections.columns
        rows = zip(columns["lane"], columns["troubled"], columns["seen"], strict=True)
        of = (self.ordinary, self.remarkable)
        self.connections.keep(
            [lane in used or (not (seen and not bad) and of[bad].keeps(lane)) for lane, bad, seen in rows]
        )


def is_remarkable(record: Exchange) -> bool:
    """Whether a request failed, was refused, waited for a connection or never ended."""
    return (
        record.error is not None
        or record.finished_at is None
        or (record.status or 0) >= 400
        or (record.pool_wait or 0.0) >= WAITED
    )


def _flags(record: Exchange) -> int:
    flags = (REUSED if record.reused else FRESH) if record.reused is not None else 0
    if record.joined:
        flags |= JOINED
    if record.body_complete is False:
        flags |= CUT
    if is_in_progress(record):
        flags |= IN_PROGRESS
    if record.waited_for == "stream":
        flags |= FOR_STREAM
    return flags


def _phase(part: Phase | None) -> tuple[float, float, float]:
    start, duration, busy = (None, None, None) if part is None else (part.start, part.duration, part.busy)
    return micros(start), micros(duration), micros(busy)


def _address(host: str | None, port: int | None) -> str | None:
    if host is None or port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
