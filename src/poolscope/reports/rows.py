"""The table of the text report: a heading per origin, a line of numbers per call site, and explanations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from poolscope.records import CallSite, CloseReason
from poolscope.reports.axis import Axis, in_words
from poolscope.reports.lanes import PHASES, Lane, LaneSample, Segment
from poolscope.reports.overview import Overview
from poolscope.reports.printable import printable
from poolscope.reports.sites import Sites
from poolscope.reports.tally import Row, Tally, is_cancellation
from poolscope.reports.waiting import busy, waiting
from poolscope.reports.words import NOTHING, count, most, plain, seconds, share

LANES: Final = 4
"""Connections drawn per row."""
TROUBLES: Final = 4
"""Lines that sent failing requests, listed per row."""
WORTH: Final = 0.001
"""Building and closing are named if they took at least this many seconds."""
SHOWN: Final = 0.000001
"""Less is no number to show per request."""
OTHER: Final = "other"
WAYS: Final = {
    "forward": "through a proxy",
    "tunnel": "through a proxy's tunnel",
    "socks": "through a SOCKS proxy",
    "uds": "over a unix socket",
}
SURPLUS: Final[frozenset[CloseReason]] = frozenset({"max_keepalive_surplus", "pool_full"})
"""Close reasons that the pool's limit of idle connections explains."""
Line = list[Segment]


class Columns:
    """Titles and widths of the numbers; the label gets the rest of the line."""

    WIDE: Final = {
        "CLIENTS": 9, "REQUESTS": 10, "CONNECTIONS": 13, "REUSED": 8, "COST": 9, "WAITING": 9,
    }  # fmt: skip
    NARROW: Final = {"CLIENTS": 9, "REQUESTS": 10, "CONNS": 9, "REUSED": 8, "COST": 8, "WAITING": 8}

    def __init__(self, width: int) -> None:
        self.width = width
        self.numbers = self.WIDE if width >= 90 else self.NARROW
        self.label = min(64, width - sum(self.numbers.values()))

    def __repr__(self) -> str:
        return f"<Columns {self.label} + {list(self.numbers)}>"

    def empty(self) -> Table:
        """A table with these columns and no rows."""
        table = Table.grid()
        table.add_column(width=self.label, no_wrap=True, overflow="ellipsis")
        for width in self.numbers.values():
            table.add_column(width=width, justify="right", no_wrap=True)
        return table


class Sums(NamedTuple):
    """The numbers of one line."""

    clients: int
    requests: int
    connections: int
    inherited: int
    failed: int
    kept: int
    reused: int
    setup: float
    closing: float
    construction: float
    waited: int
    wait_time: float
    busy: float
    joined: int
    errors: int
    cancelled: int
    unconnected: int
    slowest_wait: float
    waited_for_stream: int

    @classmethod
    def over(cls, rows: Iterable[Row], of: Mapping[Row, Tally]) -> Sums:
        """The sums over some rows."""
        rows = list(rows)
        tallies = [of[row] for row in rows]
        return cls(
            clients=sum(row.clients for row in rows),
            requests=sum(row.requests for row in rows),
            connections=sum(tally.connections for tally in tallies),
            inherited=sum(tally.inherited for tally in tallies),
            failed=sum(tally.failed for tally in tallies),
            kept=sum(row.kept for row in rows),
            reused=sum(row.reused for row in rows),
            setup=sum(tally.setup_total for tally in tallies),
            closing=sum(tally.closing for tally in tallies),
            construction=sum(row.construction for row in rows),
            waited=sum(row.waited for row in rows),
            wait_time=sum(row.wait_time for row in rows),
            busy=sum(busy for tally in tallies for _, busy, _ in tally.busy_phases()),
            joined=sum(row.joined for row in rows),
            errors=sum(row.errors.total() for row in rows),
            cancelled=sum(row.cancelled for row in rows),
            unconnected=sum(row.unconnected for row in rows),
            slowest_wait=max((row.slowest_wait for row in rows), default=0.0),
            waited_for_stream=sum(row.waited_for_stream for row in rows),
        )

    @property
    def cost(self) -> float:
        """Seconds that clients and connections took: building, setup and closing."""
        return self.construction + self.setup + self.closing

    @property
    def lost(self) -> float:
        """Seconds not spent on the requests themselves; decides what is shown first."""
        return self.cost + self.wait_time

    def cells(self) -> tuple[str, ...]:
        """The texts of a line in `Columns`."""
        return (
            f"{self.clients:,}" if self.clients else NOTHING,
            f"{self.requests:,}",
            f"{self.connections:,}",
            share(self.reused, self.kept),
            seconds(self.cost) if self.connections or self.failed or self.cost else NOTHING,
            seconds(self.wait_time) if self.waited else NOTHING,
        )


class Origin(NamedTuple):
    """One origin and its rows, the most expensive first."""

    name: str
    rows: list[Row]
    sums: Sums


class Rows:
    """Turns the rows of an overview into lines of segments."""

    def __init__(self, overview: Overview, columns: Columns, sites: Sites) -> None:
        self.overview = overview
        self.columns = columns
        self.sites = sites
        self.has_other = False
        """Whether time outside the phases was shown."""
        self.signs: set[str] = set()
        """The signs that were drawn."""
        self.rows = overview.rows()
        self._tallies: dict[Row, Tally] = overview.all_connections()
        self._lanes: dict[Row, LaneSample] = overview.all_lanes()
        starts = [header.started_at for header in overview.headers.values()]
        self._zero = min(starts) if starts else None
        self._several = len(overview.headers) > 1
        self.named: Lane | None = None
        """The first connection that was named with its process."""

    def sums(self, rows: Iterable[Row]) -> Sums:
        """The sums over some rows."""
        return Sums.over(rows, self._tallies)

    def origins(self) -> list[Origin]:
        """All origins; the origin that lost the most time comes first."""
        by_name: dict[str, list[Row]] = {}
        for row in self.rows:
            by_name.setdefault(row.origin, []).append(row)
        found = [
            Origin(name, sorted(rows, key=lambda row: -self.sums([row]).lost), self.sums(rows))
            for name, rows in by_name.items()
        ]
        return sorted(found, key=lambda origin: -origin.sums.lost)

    def heading(self, origin: Origin | None) -> list[RenderableType]:
        """The line above an origin's rows, or above the list of the smaller origins."""
        name = named("other origins" if origin is None else origin.name, "origin" if origin else "title")
        titles = [named(title, "head") for title in self.columns.numbers]
        table = self.columns.empty()
        if len(name) < self.columns.label:
            table.add_row(name, *titles)
            return [table]
        table.add_row("", *titles)
        return [name, table]

    def origin_lines(self, origins: list[Origin], rest: list[Origin]) -> RenderableType:
        """One line per origin, and one for all the rest."""
        table = self.columns.empty()
        for origin in origins:
            table.add_row(named(origin.name), *origin.sums.cells())
        if rest:
            # The same clients may be behind all of them.
            sums = self.sums(row for origin in rest for row in origin.rows)._replace(clients=0)
            table.add_row(named(f"… {len(rest):,} more origins", "label"), *sums.cells())
        return table

    def numbers(self, row: Row) -> RenderableType:
        """A call site's line of numbers."""
        table = self.columns.empty()
        table.add_row(named(f"  {row.site.kind}", "site"), *self.sums([row]).cells())
        return table

    def where(self, row: Row) -> list[Line]:
        """The lines of code that build its clients."""
        lines: list[Line] = []
        if row.site.call_site is not None:
            lines.append([("site", f"    {self.sites.named(row.site.call_site, 12)}")])
        if row.site.sdk_call_site is not None:
            lines.append([("label", "    through "), ("", self.sites.named(row.site.sdk_call_site, 12))])
        return lines

    def details(self, row: Row) -> list[tuple[str, Line]]:
        """The lines that explain its numbers: (title, words)."""
        tally = self._tallies[row]
        return [
            (title, words)
            for title, words in (
                ("clients", [("", row.credentials.words())] if row.credentials.words() else []),
                ("way", _way(tally)),
                ("cost", self._cost(row, tally)),
                ("busy", busy(tally)),
                ("waiting", waiting(row, tally)),
                ("failed", self._failed(row, tally)),
                ("gave up", self._gave_up(row)),
                ("answers", self._answers(row)),
                *(("sent by", line) for line in self._troubles(row)),
                ("closed", self._closed(row, tally)),
            )
            if words
        ]

    def _cost(self, row: Row, tally: Tally) -> Line:
        """What makes up COST."""
        parts = [f"building {seconds(row.construction)}"] if row.construction >= WORTH else []
        parts += [f"{plain(phase)} {seconds(tally.setup[phase])}" for phase in PHASES if phase in tally.setup]
        other = tally.setup_total - sum(tally.setup.values())
        if tally.setup and other >= 0.1 * tally.setup_total:
            parts.append(f"{OTHER} {seconds(other)}")
            self.has_other = True
        if tally.closing >= WORTH:
            parts.append(f"closing {seconds(tally.closing)}")
        if not parts:
            return []
        cost = self.sums([row]).cost
        shared = row.requests > 1 and cost / row.requests >= SHOWN
        each = f", {seconds(cost / row.requests)} per request" if shared else ""
        return [("setup", " · ".join(parts)), ("", each)]

    def _failed(self, row: Row, tally: Tally) -> Line:
        parts = [f"{number:,} × setup in {plain(phase)}" for phase, number in most(tally.failed_phases)]
        parts += _names({name: n for name, n in row.errors.items() if not is_cancellation(name)})
        return [("failed", " · ".join(parts))] if parts else []

    def _gave_up(self, row: Row) -> Line:
        parts = _names({name: n for name, n in row.errors.items() if is_cancellation(name)})
        return [("failed", " · ".join(parts))] if parts else []

    def _answers(self, row: Row) -> Line:
        parts = [f"{number:,} × {status}" for status, number in sorted(row.statuses.items()) if number]
        if row.retries:
            parts.append(f"{count(row.retries, 'retry', 'retries')}")
        return [("failed", " · ".join(parts))] if parts else []

    def _troubles(self, row: Row) -> list[Line]:
        """The lines that sent failed or unread requests, unless the row shows the line already."""
        by_site: dict[CallSite, Counter[str]] = {}
        for trouble, number in row.troubles.items():
            if trouble.call_site != row.site.call_site:
                by_site.setdefault(trouble.call_site, Counter())[trouble.what] += number
        worst = sorted(by_site.items(), key=lambda each: -each[1].total())
        lines: list[Line] = []
        for site, counts in worst[:TROUBLES]:
            what = " · ".join(f"{number:,} × {name}" for name, number in most(counts))
            lines.append([("site", f"{self.sites.named(site, 45)}  "), ("failed", what)])
        if worst[TROUBLES:]:
            lines.append([("label", f"and {count(len(worst) - TROUBLES, 'more line')}")])
        return lines

    def _closed(self, row: Row, tally: Tally) -> Line:
        kept = row.limits.max_idle if row.limits else None
        parts = [
            f"{number:,} × {plain(reason)}"
            + (f" (the pool keeps {kept})" if kept is not None and reason in SURPLUS else "")
            for reason, number in most(tally.closes)
        ]
        still_open = tally.connections - sum(tally.closes.values())
        if still_open > 0:
            parts = [*(parts or ["none"]), f"{still_open:,} still open"]
        if tally.inherited:
            parts.append(f"{tally.inherited:,} × inherited")
        return [("", " · ".join(parts))] if parts else []

    def drawn(self, row: Row) -> list[RenderableType]:
        """Connections that differ, on one axis of time."""
        sample = self._lanes[row]
        chosen = sample.differing(LANES)
        names = [self._name(alike.lane) for alike in chosen]
        longest = max(map(len, names), default=0)
        room = self.columns.width - longest - 6
        axis = Axis.of((alike.lane for alike in chosen), room * 2 // 5)
        if axis is None:
            return []
        table = Table.grid()
        for width in (4 + longest + 1, axis.width + 1, room - axis.width):
            table.add_column(width=width)
        table.add_row("", named(axis.title(self._zero), "label"), "")
        for name, alike in zip(names, chosen, strict=True):
            lane = axis.draw(alike.lane)
            self.signs.update(*(run for _, run in lane))
            table.add_row(named(f"    {name}", "label"), assembled(lane), assembled(in_words(alike)))
        rest = sample.seen - sum(alike.number for alike in chosen)
        if rest > 0:
            more = f"    {count(rest, 'more connection')}, not drawn"
            return [table, named(more, "label")]
        return [table]

    def _name(self, lane: Lane) -> str:
        if not self._several:
            return f"#{lane.connection.id}"
        self.named = self.named or lane
        return f"{lane.connection.pid}#{lane.connection.id}"


def _way(tally: Tally) -> Line:
    parts = [f"{number:,} × {WAYS.get(way, way)}" for way, number in most(tally.ways)]
    return [("", " · ".join(parts))] if parts else []


def _names(errors: Mapping[str, int]) -> list[str]:
    return [f"{number:,} × {name.rpartition('.')[2]}" for name, number in most(errors)]


def named(text: str, style: str = "") -> Text:
    """A text without invisible characters: names come from elsewhere."""
    return Text(printable(text), style)


def assembled(segments: Iterable[Segment]) -> Text:
    """One text of (style, text)."""
    return Text.assemble(*((printable(text), style) for style, text in segments))
