"""``poolscope diff``: two recordings side by side, so that a fix can be shown to work."""

from __future__ import annotations

import dataclasses
import json
import os.path
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from poolscope.recording import folder
from poolscope.records import CallSite
from poolscope.reports.merge import Merged, by_line, merged
from poolscope.reports.overview import Overview
from poolscope.reports.printable import printable
from poolscope.reports.tally import Row, Tally
from poolscope.reports.words import NOTHING, count, seconds, share

SHOWN: Final = 20
"""Origins, and lines of code, that get a block of their own in the text."""
MANIFOLD: Final = 100
"""Above this factor the ratio adds nothing to the two numbers."""
WIDTH: Final = 100
UNLIKE: Final = 0.1
"""Two recordings are of different work if their numbers of requests differ by more than this share."""


@dataclass(slots=True)
class Figures:
    """The sums of one thing, in seconds or as counts."""

    requests: int = 0
    connections: int = 0
    inherited: int = 0
    failed_setups: int = 0
    reused_known: int = 0
    reused_count: int = 0
    clients: int = 0
    building: float = 0.0
    setup: float = 0.0
    closing: float = 0.0
    pool_wait: float = 0.0

    @property
    def reused(self) -> float | None:
        """The share of requests that ran on an existing connection, among those of which that is known."""
        return self.reused_count / self.reused_known if self.reused_known else None

    @property
    def cost(self) -> float:
        """Seconds spent on clients and connections."""
        return self.building + self.setup + self.closing

    def add(self, row: Row, tally: Tally) -> None:
        """Add what the clients of one line did on one origin."""
        self.requests += row.requests
        self.connections += tally.connections
        self.inherited += tally.inherited
        self.failed_setups += tally.failed
        self.reused_known += row.kept
        self.reused_count += row.reused
        self.clients += row.clients
        self.building += row.construction
        self.setup += tally.setup_total
        self.closing += tally.closing
        self.pool_wait += row.wait_time


class Place(NamedTuple):
    """A place in the code, without the line number, because a fix changes that."""

    file: str
    function: str
    library: str
    """The kind of clients built there: a function may build several kinds."""

    @classmethod
    def of(cls, site: CallSite | None, kind: str | None) -> Place | None:
        """The place of a call site."""
        return None if site is None else cls(site.file, site.function, (kind or "").partition(".")[0])


class Recording:
    """A recording in figures: in total, by origin, by line of code."""

    def __init__(self, overview: Overview) -> None:
        self.total = Figures()
        self.origins: dict[str, Figures] = {}
        self.lines: dict[Place, Figures] = {}
        self.sites: dict[Place, CallSite] = {}
        for row, tally in overview.all_connections().items():
            self._add(row, tally)
        self.total.clients = overview.clients
        self.total.building = overview.construction
        self.findings: list[Merged] = by_line(merged(overview.findings()))
        first = next(iter(overview.headers), None)
        summary = None if first is None else overview.summaries.get(first)
        self.wall_time = None if summary is None else summary.wall_time
        self.exit_code = None if summary is None else summary.exit_code

    def __repr__(self) -> str:
        return f"<Recording {self.total!r}>"

    def _add(self, row: Row, tally: Tally) -> None:
        self.total.add(row, tally)
        self.origins.setdefault(row.origin, Figures()).add(row, tally)
        place = Place.of(row.site.call_site, row.site.kind)
        if place is not None and row.site.call_site is not None:
            self.lines.setdefault(place, Figures()).add(row, tally)
            self.sites.setdefault(place, row.site.call_site)

    def has(self, finding: Merged) -> bool:
        """Whether it has the habit of a finding: the same code in the same place."""
        sought = _habit(finding)
        return any(_habit(mine) == sought for mine in self.findings)


def _habit(found: Merged) -> tuple[str, Place | None]:
    return found.finding.code, Place.of(found.finding.call_site, found.finding.kind)


def _number(value: float) -> str:
    return f"{int(value):,}"


def _percent(value: float) -> str:
    return f"{value:.0%}"


Show = Callable[[float], str]
_COST: Final[tuple[tuple[str, str, Show], ...]] = (
    ("cost", "cost", seconds),
    ("  building", "building", seconds),
    ("  setup", "setup", seconds),
    ("  closing", "closing", seconds),
)
_ROWS: Final[tuple[tuple[str, str, Show], ...]] = (
    ("requests", "requests", _number),
    ("connections", "connections", _number),
    ("inherited", "inherited", _number),
    ("failed setups", "failed_setups", _number),
    ("reused", "reused", _percent),
    ("clients", "clients", _number),
    *_COST,
    ("pool wait", "pool_wait", seconds),
)
_OF_ALL: Final = tuple(name for _, name, _ in _ROWS)
_OF_AN_ORIGIN: Final = tuple(name for name in _OF_ALL if name not in ("clients", "cost", "building"))
_OF_A_LINE: Final = ("requests", "connections", "inherited", "clients", "cost")


def text(before: Recording, after: Recording, names: tuple[str, str]) -> str:
    """The comparison as tables."""
    page = _Page()
    page.line(f"before  {names[0]}")
    page.line(f"after   {names[1]}")
    page.line()
    page.table(
        ("", "before", "after", "change"),
        _row("wall time", before.wall_time, after.wall_time, seconds),
        *_rows(before.total, after.total, _OF_ALL),
        _row("findings", len(before.findings), len(after.findings), _number),
    )
    origins = list(dict.fromkeys([*before.origins, *after.origins]))
    if len(origins) > 1:
        page.blocks([(name, before.origins.get(name), after.origins.get(name)) for name in origins],
                    _OF_AN_ORIGIN, "origin")  # fmt: skip
    page.blocks(_lines(before, after), _OF_A_LINE, "line")
    page.paragraph(_promises(before, after))
    return page.text()


class _Page:
    def __init__(self) -> None:
        self._out = StringIO()
        self._console = Console(
            file=self._out, width=WIDTH, color_system=None, highlight=False, markup=False, emoji=False, _environ={}
        )  # fmt: skip

    def text(self) -> str:
        """What was written, without blanks at the ends of lines."""
        return "\n".join(line.rstrip() for line in self._out.getvalue().splitlines()).rstrip() + "\n"

    def line(self, text: str = "") -> None:
        """A line, however long."""
        self._console.print(printable(text), soft_wrap=True)

    def table(self, *rows: tuple[str, ...]) -> None:
        """Label, before, after, change."""
        table = Table.grid()
        table.add_column(width=14)
        for _ in range(2):
            table.add_column(width=14, justify="right")
        table.add_column()
        for label, was, now, change in rows:
            table.add_row(label, was, now, f"  {change}")
        self._console.print(table)

    def blocks(
        self, blocks: list[tuple[str, Figures | None, Figures | None]], names: tuple[str, ...], noun: str
    ) -> None:
        """A heading and the figures of each."""
        for heading, was, now in blocks[:SHOWN]:
            self.line()
            self.line(heading)
            self.table(*_rows(was or Figures(), now or Figures(), names))
        if blocks[SHOWN:]:
            self.line()
            self.line(f"and {count(len(blocks) - SHOWN, f'more {noun}')}")

    def paragraph(self, lines: list[str]) -> None:
        """An empty line and the lines; nothing if there are none."""
        for line in ["", *lines] if lines else []:
            self.line(line)


def _lines(before: Recording, after: Recording) -> list[tuple[str, Figures | None, Figures | None]]:
    """Lines of code, the most expensive first."""
    places = list(dict.fromkeys([*before.lines, *after.lines]))
    found = [
        (_named(place, before, after), before.lines.get(place), after.lines.get(place)) for place in places
    ]
    return sorted(found, key=lambda line: -max(figures.cost for figures in line[1:] if figures is not None))


def _named(place: Place, before: Recording, after: Recording) -> str:
    sites = [recording.sites[place] for recording in (before, after) if place in recording.sites]
    moved = [f" → {line}" for line in dict.fromkeys(site.line for site in sites) if line != sites[0].line]
    return f"{sites[0].at(_short(place.file))}{''.join(moved)} in {place.function}"


def _short(file: str) -> str:
    return file.removeprefix(os.path.join(folder.current(), ""))


def _promises(before: Recording, after: Recording) -> list[str]:
    """What the findings before the fix promised, and what the fix saved."""
    lines = [_promise(found, after.has(found)) for found in before.findings]
    new = [found for found in after.findings if not before.has(found)]
    lines += [f"{found.finding.code} {found.finding.title}{_at(found)}: new" for found in new]
    gone = [found.finding.saving for found in before.findings if not after.has(found)]
    promised = sum(saving for saving in gone if saving is not None)
    if before.wall_time is not None and after.wall_time is not None and promised:
        came = before.wall_time - after.wall_time
        less = f"{seconds(abs(came))} {'less' if came >= 0 else 'more'}"
        lines.append(f"promised: at least {seconds(promised)} less; measured: {less}")
        if not _alike(before.total.requests, after.total.requests):
            lines.append(
                "The two recordings have different numbers of requests, so comparing their times says little."
            )
    return lines


def _promise(found: Merged, still_there: bool) -> str:
    finding = found.finding
    cost = "" if finding.cost is None else f", cost {seconds(finding.cost)}"
    saving = "" if finding.saving is None else f", a saving of at least {seconds(finding.saving)}"
    return f"{finding.code} {finding.title}{_at(found)}: {'still there' if still_there else 'gone'}{cost}{saving}"


def _at(found: Merged) -> str:
    site = found.finding.call_site
    return "" if site is None else f"  {site.at(_short(site.file))} in {site.function}"


def _alike(was: int, now: int) -> bool:
    return abs(was - now) <= UNLIKE * max(was, now)


def _rows(was: Figures, now: Figures, names: Iterable[str]) -> list[tuple[str, ...]]:
    return [
        _row(label, getattr(was, name), getattr(now, name), show)
        for label, name, show in _ROWS
        if name in names and (name != "inherited" or was.inherited or now.inherited)
    ]


def _row(label: str, was: float | None, now: float | None, show: Show) -> tuple[str, ...]:
    shown = [NOTHING if value is None else show(value) for value in (was, now)]
    return (label, *shown, _change(was, now, show))


def _change(was: float | None, now: float | None, show: Show) -> str:
    if was is None or now is None:
        return ""
    if was == now:
        return "same"
    difference = f"{'+' if now > was else '−'}{show(abs(now - was))}"
    if show is _percent:  # a difference of shares is not a share itself
        return difference.replace("%", " points")
    return difference + _ratio(was, now)


def _ratio(was: float, now: float) -> str:
    if not was or not now:
        return ""
    if now < was:
        return f" ({_share_gone(was, now)} less)"
    if now < 2 * was:
        return f" ({(now - was) / was:.0%} more)".replace("%", " %")
    return f" ({now / was:.1f}×)" if now < MANIFOLD * was else ""


def _share_gone(was: float, now: float) -> str:
    return share(round(1_000_000 * (was - now) / was), 1_000_000)


def as_json(before: Recording, after: Recording) -> str:
    """The comparison for programs."""
    return json.dumps({"before": _data(before), "after": _data(after)}, indent=2) + "\n"


def _data(recording: Recording) -> dict[str, Any]:
    return {
        "total": {
            "wall_time": recording.wall_time,
            **_plain(recording.total, _OF_ALL),
            "findings": len(recording.findings),
            "exit_code": recording.exit_code,
        },
        "origins": {name: _plain(figures, _OF_AN_ORIGIN) for name, figures in recording.origins.items()},
        "lines": [
            {"call_site": dataclasses.asdict(recording.sites[place]), **_plain(figures, _OF_ALL)}
            for place, figures in recording.lines.items()
        ],
        "findings": [
            {
                "code": finding.code,
                "call_site": finding.call_site and dataclasses.asdict(finding.call_site),
                "cost": finding.cost,
                "saving": finding.saving,
            }
            for finding, _ in recording.findings
        ],
    }


def _plain(figures: Figures, names: Iterable[str]) -> dict[str, float | int | None]:
    return {name: getattr(figures, name) for name in names}
