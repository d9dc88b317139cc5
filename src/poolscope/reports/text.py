"""The report for a terminal: what happened at each origin, what to change, and what was not seen."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from typing import Final

from rich.console import Console
from rich.text import Text

from poolscope.records import CallSite, Finding
from poolscope.reports.merging import Process, merged, notes, nothing_seen, only_nothing, process
from poolscope.reports.picture import Picture
from poolscope.reports.renderer import Look, Renderer, Summing, Write
from poolscope.reports.rows import DETAIL, Columns, Line, Table
from poolscope.reports.words import Paths, count, seconds, share, spent

STYLES: Final = {
    "title": "bold",
    "origin": "bold cyan",
    "head": "dim",
    "label": "dim",
    "site": "bold",
    "bad": "bold red",
    "good": "green",
    "setup": "yellow",
    "request": "green",
    "failed": "red",
    "idle": "dim",
    "end": "dim",
    "finding": "bold yellow",
    "fix": "bold",
}
NARROWEST: Final = 72
DETAILED_ORIGINS: Final = 8
"""Origins whose connections are drawn; after them only their numbers are shown."""
LISTED_ORIGINS: Final = 40
"""Origins that get a line of their own."""
LISTED_FINDINGS: Final = 20
LISTED_IN_PROGRESS: Final = 5
STATES: Final = {
    "waiting": "waits for a connection",
    "connecting": "is connecting",
    "sending": "is being sent",
    "awaiting_headers": "waits for its answer",
    "reading": "its response is open",
}
"""How far a request in progress is, by `records.Exchange.state`."""


def renderer(write: Write, look: Look) -> Renderer:
    """The report for a terminal, as one of the formats."""

    def whole(picture: Picture) -> str:
        if picture.is_empty and not look.color:
            return only_nothing(picture)
        return render(picture, look.columns, look.color)

    return Summing(write, whole)


def render(picture: Picture, width: int = 100, color: bool = False) -> str:
    """The report as text, every line at most ``width`` (but at least 72) columns wide."""
    page = Page(max(NARROWEST, width), color)
    _Report(picture, page).write()
    return page.text()


class Page:
    """Lines of styled text; without colour they hold no escape codes at all."""

    def __init__(self, width: int, color: bool) -> None:
        self.width = width
        self._out = StringIO()
        self._console = Console(
            file=self._out,
            width=width + 1,  # rich folds a line that is exactly as wide as the console on some platforms
            force_terminal=color,
            color_system="standard" if color else None,
            no_color=not color,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def text(self) -> str:
        """Everything written, without blanks at line ends."""
        return "\n".join(line.rstrip() for line in self._out.getvalue().splitlines()).strip("\n") + "\n"

    def line(self, *segments: tuple[str, str]) -> None:
        """One line of (style, text); cut at the page's edge."""
        line = _styled(segments)
        line.truncate(self.width, overflow="ellipsis")
        self._console.print(line, no_wrap=True)

    def folded(self, lead: tuple[str, str], *segments: tuple[str, str]) -> None:
        """Text after a lead, folded at blanks; the following lines begin where it began."""
        indent = len(lead[1])
        for number, part in enumerate(_styled(segments).wrap(self._console, max(20, self.width - indent))):
            part.rstrip()
            first = _styled([lead]) if number == 0 else Text(" " * indent)
            self._console.print(first + part, no_wrap=True, overflow="ignore", crop=False)


def _styled(segments: Iterable[tuple[str, str]]) -> Text:
    line = Text()
    for style, text in segments:
        line.append(text, STYLES.get(style, ""))
    return line


class _Report:
    def __init__(self, picture: Picture, page: Page) -> None:
        self.picture = picture
        self.page = page
        self.process: Process = process(picture)
        self.findings = merged(picture.findings())
        sites = [
            site for row in picture.rows() for site in (row.site.call_site, row.site.sdk_call_site) if site
        ]
        sites += [
            site for found, _ in self.findings for site in (found.call_site, found.sdk_call_site) if site
        ]
        self.paths = Paths(site.file for site in sites)
        self.table = Table(picture, Columns(page.width), self.paths)

    def write(self) -> None:
        self._head()
        if not self.table.rows:
            self._nothing()
        else:
            self._origins()
            self._in_progress()
            self._findings()
        self._unseen()
        if self.table.rows:
            self._totals()

    def _head(self) -> None:
        self.page.folded(("title", "poolscope  "), ("", " · ".join(self.process.words)))
        if self.paths.base:
            self.page.line(("label", f"files below {self.paths.base}"))
        self.page.line()

    def _nothing(self) -> None:
        sentence = nothing_seen(self.picture)
        self.page.folded(("", ""), ("", f"{sentence[0].upper()}{sentence[1:]}."))
        if self.picture.clients:
            built = f"{count(self.picture.clients, 'client')} built in {seconds(self.picture.construction)}"
            self.page.line(("", f"{built}, none of them used."))

    def _origins(self) -> None:
        origins = self.table.origins()
        detailed = origins[:DETAILED_ORIGINS]
        for origin in detailed:
            self._lines(self.table.heading(origin))
            for row in origin.rows:
                self._lines(self.table.row(row))
            self.page.line()
        listed = origins[DETAILED_ORIGINS:LISTED_ORIGINS]
        if listed:
            self._lines(self.table.heading(None))
            for origin in listed:
                self.page.line(*self.table.origin_line(origin))
        if origins[LISTED_ORIGINS:]:
            self.page.line(*self.table.rest_line(origins[LISTED_ORIGINS:]))
        if listed:
            self.page.line()

    def _lines(self, lines: list[Line]) -> None:
        for line in lines:
            if len(line[0][1]) == DETAIL:
                self.page.folded(*line)
            else:
                self.page.line(*line)

    def _in_progress(self) -> None:
        """Requests that were not over, the oldest first, each with the line that sent it."""
        waiting = self.picture.in_progress()
        if not waiting:
            return
        oldest = seconds(self.picture.age(waiting[0]))
        self.page.line(
            ("bad", f"{count(len(waiting), 'request')} in progress"), ("", f", the oldest for {oldest}")
        )
        for record in waiting[:LISTED_IN_PROGRESS]:
            site = "" if record.call_site is None else f"  {self._site(record.call_site)}"
            self.page.line(
                ("", f"  {seconds(self.picture.age(record)):>8}  {STATES.get(record.state or '', '')}  "),
                ("", f"{record.method or ''} {record.url or record.origin}"),
                ("site", site),
            )
        if waiting[LISTED_IN_PROGRESS:]:
            self.page.line(("label", f"  and {len(waiting) - LISTED_IN_PROGRESS:,} more"))
        self.page.line()

    def _findings(self) -> None:
        for finding in self.findings[:LISTED_FINDINGS]:
            self._finding(*finding)
        if len(self.findings) > LISTED_FINDINGS:
            self.page.line(("label", f"… and {count(len(self.findings) - LISTED_FINDINGS, 'more finding')}"))
            self.page.line()

    def _finding(self, finding: Finding, processes: int) -> None:
        where = finding.call_site or finding.sdk_call_site
        at = "" if where is None else f"  {self._site(where)}"
        level = " (info)" if finding.severity == "info" else ""
        self.page.line(("finding", f"{finding.code} {finding.title}"), ("label", level), ("site", at))
        if finding.call_site is not None and finding.sdk_call_site is not None:
            self.page.line(("label", f"  through {self._site(finding.sdk_call_site)}"))
        self.page.folded(("", "  "), ("", finding.sentence))
        if finding.cost is not None:
            self.page.line(
                ("label", "  cost    "), ("bad", seconds(finding.cost)), ("", f" of {spent(finding.parts)}")
            )
        if finding.saving is not None:
            self.page.line(("label", "  saving  "), ("good", f"at least {seconds(finding.saving)}"),
                           ("", self._of_wall_time()), ("", " in one process" if processes > 1 else ""))  # fmt: skip
        fix = finding.fix
        for site in (finding.sdk_call_site, finding.call_site):
            if site is not None:
                fix = fix.replace(site.file, self.paths.short(site.file))
        self.page.folded(("label", "  fix     "), ("fix", fix))
        for note in finding.notes:
            self.page.folded(("label", "  note    "), ("", note))
        self.page.line()

    def _of_wall_time(self) -> str:
        wall = self.process.wall_time
        return "" if wall is None else f" of the run's {seconds(wall)}"

    def _site(self, site: CallSite) -> str:
        tail = f":{site.line} in {site.function}"
        return self.paths.short(site.file, max(12, self.page.width - len(tail) - 30)) + tail

    def _unseen(self) -> None:
        for note in notes(self.picture):
            self.page.folded(("bad", "not seen  "), ("", note))

    def _totals(self) -> None:
        sums = self.table.sums(self.table.rows)
        words = [count(sums.requests, "request"), count(sums.connections, "connection"),
                 count(self.picture.clients, "client")]  # fmt: skip
        if sums.kept:
            words.append(f"{share(sums.reused, sums.kept)} reused")
        words.append(f"{seconds(sums.setup)} in setup")
        if self.picture.construction >= 0.001:
            words.append(f"{seconds(self.picture.construction)} building clients")
        if self.picture.still_open:
            words.append(f"{self.picture.still_open:,} still open")
        self.page.folded(("title", "total  "), ("title", " · ".join(words)))
