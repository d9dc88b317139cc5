"""The report for a terminal: what happened at each origin, what to change, and what was not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from poolscope.records import Finding, State
from poolscope.reports.legend import legend
from poolscope.reports.merge import by_line, merged
from poolscope.reports.nothing import only_nothing
from poolscope.reports.overview import Overview
from poolscope.reports.page import Page
from poolscope.reports.renderer import Look, Renderer, SummaryRenderer, Write
from poolscope.reports.rows import WORTH, Columns, Rows
from poolscope.reports.sites import Sites
from poolscope.reports.tally import Row
from poolscope.reports.verdict import Run, verdict
from poolscope.reports.whole_run import Process, notes, nothing_seen, process
from poolscope.reports.words import count, seconds, share, spent

NARROWEST: Final = 72
DETAILED_ORIGINS: Final = 8
"""The connections of this many origins are drawn; of later ones only numbers are shown."""
LISTED_ORIGINS: Final = 40
"""Origins with their own line."""
LISTED_FINDINGS: Final = 20
LISTED_ROUTES: Final = 10
LISTED_IN_PROGRESS: Final = 5
DETAIL: Final = 13
"""Width of the titles below a row."""
EXCERPT_ROWS: Final = 3
"""Rows shown with one finding."""
STATES: Final[dict[State, str]] = {
    "waiting": "waits for a connection",
    "connecting": "is connecting",
    "sending": "is being sent",
    "awaiting_headers": "waits for its answer",
    "reading": "its response is open",
}
"""How far a request in progress is, by `records.Exchange.state`."""


def renderer(write: Write, look: Look) -> Renderer:
    """The report for a terminal, as one of the formats."""

    def whole(overview: Overview) -> str:
        if overview.is_empty and not look.color:
            return only_nothing(nothing_seen(overview))
        return render(overview, look.columns, look.color)

    return SummaryRenderer(write, look, whole)


def render(overview: Overview, width: int = 100, color: bool = False) -> str:
    """The report as text, every line at most ``width`` (but at least 72) columns wide.

    With ``color``, lines of code are links as well: then it is for a terminal.
    """
    page = Page(max(NARROWEST, width), color)
    report = _Report(overview, page)
    report.write()
    return report.sites.linked(page.text()) if color else page.text()


def excerpt(overview: Overview, width: int) -> str:
    """The origins with their lanes, and the findings, without the rest of the report and without colours."""
    return _part(overview, width, _Report.write_core)


def lanes(overview: Overview, finding: Finding, width: int) -> str:
    """The numbers and lanes of the connections that a finding is about, without colours."""
    return _part(overview, width, lambda report: report.write_rows(finding))


def words(overview: Overview, finding: Finding, width: int) -> str:
    """A finding's lines of the report, without colours."""
    return _part(overview, width, lambda report: report.write_finding(finding, 1))


def _part(overview: Overview, width: int, write: Callable[[_Report], object]) -> str:
    page = Page(max(NARROWEST, width), color=False)
    write(_Report(overview, page))
    return page.text()


class _Report:
    def __init__(self, overview: Overview, page: Page) -> None:
        self.overview = overview
        self.page = page
        self.process: Process = process(overview)
        self.findings = by_line(merged(overview.findings()))
        sites = [
            site for row in overview.rows() for site in (row.site.call_site, row.site.sdk_call_site) if site
        ]
        sites += [
            site for found, _ in self.findings for site in (found.call_site, found.sdk_call_site) if site
        ]
        self.sites = Sites(sites, page.width)
        self.table = Rows(overview, Columns(page.width), self.sites)

    def write(self) -> None:
        self._verdict()
        self._head()
        if not self.table.rows:
            self._nothing()
        else:
            self.write_origins()
            self._routes()
            self._in_progress()
            self.write_findings()
        self._unseen()
        if self.table.rows:
            self._key()
            self._totals()

    def write_core(self) -> None:
        """Every origin, and the findings."""
        self.write_origins()
        self.write_findings()

    def write_rows(self, finding: Finding) -> None:
        """The rows that a finding is about."""
        about = _rows_of(finding, self.table.rows)[:EXCERPT_ROWS]
        for origin in self.table.origins():
            rows = [row for row in origin.rows if row in about]
            if rows:
                self.page.print(*self.table.heading(origin))
            for row in rows:
                self._row(row)

    def _verdict(self) -> None:
        if not self.table.rows:
            return
        findings = [found.finding for found in self.findings]
        run = Run(self.overview, self.table.sums(self.table.rows), findings, self.process.wall_time)
        self.page.folded(("title", "poolscope  "), *verdict(run))

    def _head(self) -> None:
        lead = " " * 11 if self.table.rows else "poolscope  "
        self.page.folded(("title", lead), ("label", " · ".join(self.process.words)))
        if self.sites.base:
            self.page.line(("label", f"files below {self.sites.base}"))
        self.page.line()

    def _nothing(self) -> None:
        sentence = nothing_seen(self.overview)
        self.page.folded(("", ""), ("", f"{sentence[0].upper()}{sentence[1:]}."))
        if self.overview.clients:
            were = count(self.overview.clients, "client was", "clients were")
            self.page.line(("", f"{were} built in {seconds(self.overview.construction)}, and never used."))

    def write_origins(self) -> None:
        """Every origin: its numbers, and the lanes of the first few."""
        origins = self.table.origins()
        detailed = origins[:DETAILED_ORIGINS]
        for origin in detailed:
            self.page.print(*self.table.heading(origin))
            for row in origin.rows:
                self._row(row)
            self.page.line()
        listed, rest = origins[DETAILED_ORIGINS:LISTED_ORIGINS], origins[LISTED_ORIGINS:]
        if listed:
            self.page.print(*self.table.heading(None), self.table.origin_lines(listed, rest))
            self.page.line()

    def _row(self, row: Row) -> None:
        self.page.print(self.table.numbers(row))
        for line in self.table.where(row):
            self.page.line(*line)
        for title, words in self.table.details(row):
            self.page.folded(("label", f"    {title}".ljust(DETAIL)), *words)
        self.page.print(*self.table.drawn(row))

    def _routes(self) -> None:
        """What each route of the program's own server opened and sent, per served request."""
        routes = self.overview.routes.all()
        if not routes:
            return
        self.page.line(("head", "BY ROUTE, for each request served that sent others"))
        for route in routes[:LISTED_ROUTES]:
            each = max(route.served, 1)
            self.page.folded(
                ("origin", f"  {route.route}  "),
                ("", f"opens {route.opened / each:.1f} connections, {seconds(route.setup / each)}"),
                ("label", f" · sends {route.requests / each:.1f}, {share(route.reused, route.kept)} reused"),
                ("label", f" · waits {seconds(route.waited / each)}" if route.waited / each >= WORTH else ""),
                ("label", f" · {count(route.served, 'request')} served"),
            )
        if routes[LISTED_ROUTES:]:
            self.page.line(("label", f"  and {count(len(routes) - LISTED_ROUTES, 'more route')}"))
        self.page.line()

    def _in_progress(self) -> None:
        """Requests that were not over, the oldest first, each with the line that sent it."""
        waiting = self.overview.in_progress()
        if not waiting:
            return
        oldest = seconds(self.overview.age(waiting[0]))
        self.page.line(
            ("bad", f"{count(len(waiting), 'request')} in progress"),
            ("", f", {'the oldest ' if len(waiting) > 1 else ''}for {oldest}"),
        )
        for record in waiting[:LISTED_IN_PROGRESS]:
            site = "" if record.call_site is None else f"  {self.sites.named(record.call_site, 14)}"
            self.page.folded(
                ("", f"  {seconds(self.overview.age(record)):>8}  "),
                (
                    "",
                    f"{STATES[record.state] if record.state else ''}  {record.method or ''} {record.url or record.origin}",
                ),
                ("site", site),
            )
        if waiting[LISTED_IN_PROGRESS:]:
            self.page.line(("label", f"  and {len(waiting) - LISTED_IN_PROGRESS:,} more"))
        self.page.line()

    def write_findings(self) -> None:
        """The findings, the most expensive first."""
        for finding in self.findings[:LISTED_FINDINGS]:
            self.write_finding(finding.finding, finding.processes)
        if len(self.findings) > LISTED_FINDINGS:
            self.page.line(("label", f"… and {count(len(self.findings) - LISTED_FINDINGS, 'more finding')}"))
            self.page.line()

    def write_finding(self, finding: Finding, processes: int) -> None:
        """One finding: where, what, what it costs and how to fix it."""
        where = finding.call_site or finding.sdk_call_site
        at = "  at an unknown line" if where is None else f"  {self.sites.named(where, 2)}"
        level = " (info)" if finding.severity == "info" else ""
        title = f"{finding.code} {finding.title}"
        if len(title + level + at) > self.page.width:
            self.page.line(("finding", title), ("label", level))
            self.page.folded(("", "  "), ("site", at.lstrip()))
        else:
            self.page.line(("finding", title), ("label", level), ("site", at))
        if finding.call_site is not None and finding.sdk_call_site is not None:
            self.page.line(("label", f"  through {self.sites.named(finding.sdk_call_site, 30)}"))
        self.page.folded(("", "  "), ("", self._short(finding.sentence, finding)))
        if finding.cost is not None:
            self.page.line(
                ("label", "  cost    "), ("bad", seconds(finding.cost)), ("", f" of {spent(finding.parts)}")
            )
        if finding.saving is not None:
            self.page.line(("label", "  saving  "), ("good", f"at least {seconds(finding.saving)}"),
                           ("", self._of_wall_time()), ("", " in one process" if processes > 1 else ""))  # fmt: skip
        self.page.folded(("label", "  fix     "), ("fix", self._short(finding.fix, finding)))
        for note in finding.notes:
            self.page.folded(("label", "  note    "), ("", self._short(note, finding)))
        self.page.line()

    def _short(self, text: str, finding: Finding) -> str:
        """A sentence with its files named as everywhere else."""
        for site in (finding.sdk_call_site, finding.call_site):
            if site is not None:
                text = self.sites.shortened(text, site)
        return text

    def _of_wall_time(self) -> str:
        wall = self.process.wall_time
        return "" if wall is None else f" of the run's {seconds(wall)}"

    def _unseen(self) -> None:
        for note in notes(self.overview):
            self.page.folded(("bad", "not seen  "), ("", note))

    def _key(self) -> None:
        for term, words in legend(self.table):
            self.page.folded(("label", f"{term}  "), ("label", words))

    def _totals(self) -> None:
        sums = self.table.sums(self.table.rows)
        words = [count(sums.requests, "request"), count(sums.connections, "connection"),
                 *([f"{sums.inherited:,} × inherited"] if sums.inherited else []),
                 count(self.overview.clients, "client")]  # fmt: skip
        if sums.kept:
            words.append(f"{share(sums.reused, sums.kept)} reused")
        words += [
            f"{seconds(took)} {what}"
            for took, what in (
                (sums.setup, "in setup"),
                (self.overview.construction, "building clients"),
                (sums.closing, "closing"),
            )
            if took >= WORTH
        ]
        side_by_side = self.overview.side_by_side()
        if side_by_side:
            words.append(f"sums over {side_by_side}")
        if self.overview.still_open:
            words.append(f"{self.overview.still_open:,} still open")
        self.page.folded(("title", "total  "), ("title", " · ".join(words)))


def _rows_of(finding: Finding, rows: list[Row]) -> list[Row]:
    """The rows of a finding: those of its line, else those of its server."""
    origins = finding.line_origins if finding.origin is None else (finding.origin,)
    there = [row for row in rows if not origins or row.origin in origins]
    site = (finding.call_site, finding.sdk_call_site)
    return [row for row in there if (row.site.call_site, row.site.sdk_call_site) == site] or there
