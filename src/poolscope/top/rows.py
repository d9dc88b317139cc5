"""The tables of the screen as plain rows of text, sorted and filtered, without a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from poolscope.look.frame import Counts, FindingNow, Holder, OriginNow, RouteNow, Waiter
from poolscope.look.merge import Of, Together
from poolscope.records import CallSite
from poolscope.reports.printable import printable
from poolscope.reports.words import NOTHING, Paths, count, seconds, share

Name: TypeAlias = Literal["origins", "routes", "requests", "findings"]

STATES: Final = {
    "sending": "sends its request",
    "awaiting_headers": "waits for its answer",
    "reading": "response open",
}
SHORTEST_PATH: Final = 12


@dataclass(slots=True, frozen=True)
class Column:
    """A title, and the sort key of this column."""

    title: str
    by: Callable[[Any], Any]
    right: bool = False


@dataclass(slots=True, frozen=True)
class Shown:
    """One row: its cells, and the text about it when it is selected."""

    cells: tuple[str, ...]
    detail: str


@dataclass(slots=True, frozen=True)
class Asked:
    """A request that holds a connection or waits for one."""

    pid: int
    doing: str
    method: str
    origin: str
    seconds: float
    call_site: CallSite | None
    task: str | None
    route: str | None
    urgent: int
    """Requests that wait for a connection come first, then those that hold one."""


COLUMNS: Final[dict[Name, tuple[Column, ...]]] = {
    "origins": (
        Column("SERVER", lambda origin: origin.origin),
        Column("WAIT", lambda origin: (-origin.waiting, -(origin.oldest_wait or 0.0)), right=True),
        Column("BUSY", lambda origin: -origin.active, right=True),
        Column("IDLE", lambda origin: -origin.idle, right=True),
        Column("OPENED", lambda origin: -origin.opened, right=True),
        Column("REQUESTS", lambda origin: -origin.requests, right=True),
        Column("REUSED", lambda origin: origin.reused / max(origin.on_connection, 1), right=True),
    ),
    "routes": (
        Column("ROUTE, FOR EACH REQUEST SERVED", lambda route: route.route),
        Column("SERVED", lambda route: -route.served, right=True),
        Column("OPENS", lambda route: -route.opened / max(route.served, 1), right=True),
        Column("SETUP", lambda route: -route.setup / max(route.served, 1), right=True),
        Column("SENDS", lambda route: -route.requests / max(route.served, 1), right=True),
        Column("REUSED", lambda route: route.reused / max(route.on_connection, 1), right=True),
        Column("WAITS", lambda route: -route.waited / max(route.served, 1), right=True),
    ),
    "requests": (
        Column("SINCE", lambda asked: -asked.seconds, right=True),
        Column("DOES", lambda asked: (asked.urgent, -asked.seconds)),
        Column("LINE", lambda asked: str(asked.call_site)),
        Column("PID", lambda asked: asked.pid, right=True),
        Column("SERVER", lambda asked: asked.origin),
    ),
    "findings": (
        Column("SEEN", lambda of: of.item.age(), right=True),
        Column("FINDING", lambda of: of.item.code),
        Column("TIMES", lambda of: -of.item.count, right=True),
        Column("COST", lambda of: -(of.item.cost or 0.0), right=True),
        Column("LINE", lambda of: str(of.item.call_site)),
        Column("PID", lambda of: of.pid, right=True),
    ),
}
FIRST_ORDER: Final[dict[Name, int]] = {"origins": 1, "routes": 3, "requests": 1, "findings": 0}
"""The column by which each table is sorted at first."""


class Sites:
    """Lines of code in short."""

    def __init__(self, shown: Together, width: int) -> None:
        lists: tuple[Sequence[Of[Any]], ...] = (shown.holders, shown.waiters, shown.findings)
        named = [of.item.call_site for items in lists for of in items]
        self._paths = Paths(site.file for site in named if site is not None)
        self._width = width

    def __repr__(self) -> str:
        return f"<Sites below {self._paths.base}>"

    def named(self, site: CallSite | None) -> str:
        """``load.py:12 fetch``."""
        if site is None:
            return NOTHING
        tail = f":{site.line} {site.function}"
        short = self._paths.short(site.file, max(SHORTEST_PATH, self._width - len(tail)))
        return f"{site.at(short)} {site.function}"


def rows(name: Name, shown: Together, sites: Sites, order: int, wanted: str) -> list[Shown]:
    """One table's rows that contain ``wanted``, sorted by the column ``order``."""
    things = sorted(_things(name, shown), key=COLUMNS[name][order].by)
    every = (_ROW[name](thing, sites) for thing in things)
    return [_printable(row) for row in every if _fits(row, wanted)]


def _things(name: Name, shown: Together) -> Iterable[Any]:
    if name == "origins":
        return shown.origins
    if name == "routes":
        return shown.routes
    if name == "findings":
        return shown.findings
    return [*map(_waiting, shown.waiters), *map(_holding, shown.holders)]


def _waiting(of: Of[Waiter]) -> Asked:
    item = of.item
    connecting = item.state == "connecting"
    doing = "connects" if connecting else "waits for a connection"
    return Asked(
        of.pid,
        doing,
        item.method or "",
        item.origin,
        item.waited,
        item.call_site,
        item.task,
        item.route,
        int(connecting),
    )


def _holding(of: Of[Holder]) -> Asked:
    item = of.item
    doing = f"holds #{item.connection}, {STATES.get(item.state, item.state)}"
    return Asked(
        of.pid, doing, item.method or "", item.origin, item.held, item.call_site, item.task, item.route, 2
    )


def _origin_row(origin: OriginNow, _: Sites) -> Shown:
    wait = f" {seconds(origin.oldest_wait, '')}" if origin.waiting else ""
    cells = (
        origin.origin,
        f"{origin.waiting}{wait}",
        f"{origin.active + origin.connecting:,}",
        f"{origin.idle:,}",
        f"{origin.opened:,}",
        f"{origin.requests:,}",
        share(origin.reused, origin.on_connection),
    )
    return Shown(cells, f"{origin.origin}: {summed(origin)}")


def _route_row(route: RouteNow, _: Sites) -> Shown:
    each = max(route.served, 1)
    cells = (
        route.route,
        f"{route.served:,}",
        f"{route.opened / each:.1f}",
        seconds(route.setup / each),
        f"{route.requests / each:.1f}",
        share(route.reused, route.on_connection),
        seconds(route.waited / each),
    )
    opens = f"opens {cells[2]} connections, {cells[3]}, for each of {count(route.served, 'request')} served"
    return Shown(cells, f"{route.route} {opens}")


def _request_row(asked: Asked, sites: Sites) -> Shown:
    cells = (
        seconds(asked.seconds),
        asked.doing,
        sites.named(asked.call_site),
        str(asked.pid),
        asked.origin,
    )
    task = f", in {asked.task}" if asked.task else ""
    serving = f", serving {asked.route}" if asked.route else ""
    line = asked.call_site or "its line is not known"
    return Shown(
        cells,
        f"{line}: {asked.method} {asked.origin} {asked.doing} for {seconds(asked.seconds)}{task}{serving}",
    )


def _finding_row(of: Of[FindingNow], sites: Sites) -> Shown:
    finding = of.item
    cells = (
        seconds(finding.seen),
        f"{finding.code} {finding.title}",
        f"{finding.count:,}",
        seconds(finding.cost),
        sites.named(finding.call_site),
        str(of.pid),
    )
    return Shown(cells, f"{finding.code}: {finding.sentence} {finding.fix}")


_ROW: Final[dict[Name, Callable[[Any, Sites], Shown]]] = {
    "origins": _origin_row,
    "routes": _route_row,
    "requests": _request_row,
    "findings": _finding_row,
}


def _fits(row: Shown, wanted: str) -> bool:
    return not wanted or wanted.lower() in " ".join((*row.cells, row.detail)).lower()


def _printable(row: Shown) -> Shown:
    return Shown(tuple(map(printable, row.cells)), printable(row.detail))


def summed(counts: Counts) -> str:
    """``12 open: 4 busy, 8 idle · 2 wait, 4.8 s · 96 requests, 48 % reused``."""
    connecting = f", {counts.connecting:,} connecting" if counts.connecting else ""
    verb = "waits" if counts.waiting == 1 else "wait"
    waits = f" · {counts.waiting:,} {verb}, {seconds(counts.oldest_wait)}" if counts.waiting else ""
    return (
        f"{counts.open:,} open: {counts.active:,} busy, {counts.idle:,} idle{connecting}{waits}"
        f" · {count(counts.requests, 'request')}, {share(counts.reused, counts.on_connection)} reused"
    )


def heading(shown: Together) -> str:
    """The watched processes, and the sums."""
    looks = shown.looks
    who = (
        f"{looks[0].program} ({looks[0].pid})"
        if len(looks) == 1
        else count(len(looks), "process", "processes")
    )
    lost = sum(look.dropped for look in looks)
    dropped = f" · {lost:,} facts lost" if lost else ""
    return printable(f"{who} · {summed(shown.totals)}{dropped}")
