"""The table of the text report: a heading per origin, a line of numbers per call site, and what explains it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from poolscope.records import CallSite
from poolscope.reports.lanes import Lane, LaneSample, Segment, draw
from poolscope.reports.picture import Picture
from poolscope.reports.tally import Row, Tally
from poolscope.reports.words import NOTHING, Paths, count, most, plain, seconds, share

LANES: Final = 4
"""Connections drawn per row."""
DETAIL: Final = 13
"""Width of the titles below a row; a line that begins so may be folded."""
PHASES: Final = ("dns", "connect", "proxy_tunnel", "tls_context", "tls")
SURPLUS: Final = frozenset({"max_keepalive_surplus", "pool_full"})
"""Close reasons that the pool's limit of idle connections explains."""
Line = list[Segment]


class Columns:
    """Titles and widths of the numbers, right-aligned; the label gets the rest of the line."""

    WIDE: Final = ("  CLIENTS", "  REQUESTS", "  CONNECTIONS", "  REUSED", "    SETUP", "  WAITING")
    NARROW: Final = ("  CLIENTS", "  REQUESTS", "    CONNS", "  REUSED", "   SETUP", " WAITING")

    def __init__(self, width: int) -> None:
        self.width = width
        self._titles = self.WIDE if width >= 90 else self.NARROW
        self.label = min(64, width - sum(map(len, self._titles)))

    def titles(self) -> str:
        """The heading of the numbers."""
        return "".join(self._titles)

    def numbers_line(self, cells: Iterable[str]) -> str:
        """Cells under their titles."""
        return "".join(f"{cell:>{len(title)}}" for title, cell in zip(self._titles, cells, strict=True))


class Sums(NamedTuple):
    """The numbers of one line."""

    clients: int
    requests: int
    connections: int
    failed: int
    kept: int
    reused: int
    setup: float
    construction: float
    waited: int
    wait_time: float

    @property
    def lost(self) -> float:
        """Seconds not spent on the requests themselves; decides what is shown first."""
        return self.setup + self.construction + self.wait_time

    def cells(self) -> tuple[str, ...]:
        """As `Columns` wants them."""
        return (
            f"{self.clients:,}" if self.clients else NOTHING,
            f"{self.requests:,}",
            f"{self.connections:,}",
            share(self.reused, self.kept),
            seconds(self.setup) if self.connections or self.failed else NOTHING,
            seconds(self.wait_time) if self.waited else NOTHING,
        )


class Origin(NamedTuple):
    """One origin and its rows, the dearest first."""

    name: str
    rows: list[Row]
    sums: Sums


class Table:
    """Turns the rows of a picture into lines of segments."""

    def __init__(self, picture: Picture, columns: Columns, paths: Paths) -> None:
        self.picture = picture
        self.columns = columns
        self.paths = paths
        self.rows = picture.rows()
        self._tallies: dict[Row, Tally] = picture.all_connections()
        self._lanes: dict[Row, LaneSample] = picture.all_lanes()
        starts = [header.started_at for header in picture.headers.values()]
        self._zero = min(starts) if starts else None
        self._several = len(picture.headers) > 1

    def sums(self, rows: Iterable[Row]) -> Sums:
        """The sums over some rows."""
        clients = requests = connections = failed = kept = reused = waited = 0
        setup = construction = wait_time = 0.0
        for row in rows:
            tally = self._tallies[row]
            clients += row.clients
            requests += row.requests
            connections += tally.opened + tally.unseen + tally.inherited
            failed += tally.failed
            kept += row.kept
            reused += row.reused
            setup += tally.setup_total
            construction += row.construction
            waited += row.waited
            wait_time += row.wait_time
        return Sums(
            clients, requests, connections, failed, kept, reused, setup, construction, waited, wait_time
        )

    def origins(self) -> list[Origin]:
        """All origins, the one that lost most time first."""
        by_name: dict[str, list[Row]] = {}
        for row in self.rows:
            by_name.setdefault(row.origin, []).append(row)
        found = [
            Origin(name, sorted(rows, key=lambda row: -self.sums([row]).lost), self.sums(rows))
            for name, rows in by_name.items()
        ]
        return sorted(found, key=lambda origin: -origin.sums.lost)

    def heading(self, origin: Origin | None) -> list[Line]:
        """What stands above an origin's rows, or above the list of the smaller origins."""
        name = "other origins" if origin is None else origin.name
        style, titles = "origin" if origin else "title", ("head", self.columns.titles())
        if len(name) < self.columns.label:
            return [[(style, f"{name:<{self.columns.label}}"), titles]]
        return [[(style, name)], [("", " " * self.columns.label), titles]]

    def origin_line(self, origin: Origin) -> Line:
        """An origin in one line."""
        label = _fit(origin.name, self.columns.label)
        return [("", label), ("", self.columns.numbers_line(origin.sums.cells()))]

    def rest_line(self, origins: list[Origin]) -> Line:
        """All that is left in one line."""
        sums = self.sums(row for origin in origins for row in origin.rows)
        label = _fit(f"… {len(origins):,} more origins", self.columns.label)
        return [("label", label), ("", self.columns.numbers_line(sums.cells()))]

    def row(self, row: Row) -> list[Line]:
        """A call site: its numbers, and what stands behind them."""
        sums, tally = self.sums([row]), self._tallies[row]
        lines = [[("site", _fit(f"  {row.site.kind}", self.columns.label)),
                  ("", self.columns.numbers_line(sums.cells()))]]  # fmt: skip
        lines += self._where(row)
        lines += [
            [("label", f"    {title}".ljust(DETAIL)), *words]
            for title, words in (
                ("building", self._building(row)),
                ("setup", self._setup(tally)),
                ("waiting", self._waiting(row, tally)),
                ("failed", self._failed(row, tally)),
                ("closed", self._closed(row, tally)),
            )
            if words
        ]
        return lines + self._drawn(row)

    def _where(self, row: Row) -> list[Line]:
        lines = []
        if row.site.call_site is not None:
            lines.append([("site", f"    {self._site(row.site.call_site)}")])
        if row.site.sdk_call_site is not None:
            lines.append([("label", "    through "), ("", self._site(row.site.sdk_call_site))])
        return lines

    def _site(self, site: CallSite) -> str:
        tail = f":{site.line} in {site.function}"
        return self.paths.short(site.file, max(12, self.columns.width - len(tail) - 12)) + tail

    def _building(self, row: Row) -> Line:
        if row.construction < 0.001:
            return []
        each = f", {seconds(row.construction / row.clients)} per client" if row.clients > 1 else ""
        return [("", f"{seconds(row.construction)}{each}")]

    def _setup(self, tally: Tally) -> Line:
        parts = [f"{plain(phase)} {seconds(tally.setup[phase])}" for phase in PHASES if phase in tally.setup]
        if not parts:
            return []
        other = tally.setup_total - sum(tally.setup.values())
        if other >= 0.1 * tally.setup_total:
            parts.append(f"other {seconds(other)}")
        number = tally.opened + tally.failed
        each = f", {seconds(tally.setup_total / number)} per connection" if number > 1 else ""
        return [("setup", " · ".join(parts)), ("", each)]

    def _waiting(self, row: Row, tally: Tally) -> Line:
        if not row.waited:
            return []
        limit = row.limits.max_connections if row.limits else None
        # Where there never were so many, the limit is not what they waited for.
        reached = limit and tally.opened + tally.failed + tally.unseen + tally.inherited >= limit
        allowed = f"; the pool allows {count(limit, 'connection')}" if limit and reached else ""
        longest = f", at most {seconds(row.slowest_wait)} each" if row.waited > 1 else ""
        lost = f"; {row.lost:,} × the assigned one was taken already" if row.lost else ""
        return [("failed", f"{count(row.waited, 'request')} for a connection{longest}"), ("", allowed + lost)]

    def _failed(self, row: Row, tally: Tally) -> Line:
        parts = [f"{number:,} × setup in {plain(phase)}" for phase, number in most(tally.failed_phases)]
        parts += [f"{number:,} × {name.rpartition('.')[2]}" for name, number in most(row.errors)]
        return [("failed", " · ".join(parts))] if parts else []

    def _closed(self, row: Row, tally: Tally) -> Line:
        kept = row.limits.max_idle if row.limits else None
        parts = [
            f"{number:,} × {plain(reason)}"
            + (f" (the pool keeps {kept})" if kept is not None and reason in SURPLUS else "")
            for reason, number in most(tally.closes)
        ]
        still_open = tally.opened + tally.unseen + tally.inherited - sum(tally.closes.values())
        if still_open > 0:
            parts = [*(parts or ["none"]), f"{still_open:,} still open"]
        return [("", " · ".join(parts))] if parts else []

    def _drawn(self, row: Row) -> list[Line]:
        sample = self._lanes[row]
        chosen = sample.chosen(LANES)
        names = [self._name(lane) for lane in chosen]
        longest = max(map(len, names), default=0)
        lines: list[Line] = [
            [("label", "    "), *draw(lane, self._zero, self.columns.width - 4, f"{name:<{longest}}")]
            for lane, name in zip(chosen, names, strict=True)
        ]
        if len(chosen) < sample.seen:
            lines.append([("label", f"    {len(chosen)} of {count(sample.seen, 'connection')} drawn")])
        return lines

    def _name(self, lane: Lane) -> str:
        return f"{lane.connection.pid}#{lane.connection.id}" if self._several else f"#{lane.connection.id}"


def _fit(text: str, width: int) -> str:
    return f"{text if len(text) < width else text[: width - 2] + '…':<{width}}"
