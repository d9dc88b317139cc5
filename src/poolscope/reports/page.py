"""A page of styled lines, as a terminal of a given width shows it."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.theme import Theme

from poolscope.reports.lanes import Segment
from poolscope.reports.rows import assembled

STYLES: Final[Mapping[str, str]] = {
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
            theme=Theme(STYLES),
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
        )

    def __repr__(self) -> str:
        return f"<Page {self.width} wide>"

    def text(self) -> str:
        """Everything written, without blanks at line ends."""
        return "\n".join(line.rstrip() for line in self._out.getvalue().splitlines()).strip("\n") + "\n"

    def print(self, *tables: RenderableType) -> None:
        """Add tables, or lines that fit."""
        for table in tables:
            self._console.print(table)

    def line(self, *segments: Segment) -> None:
        """Add one line of (style, text), cut at the page's edge."""
        line = assembled(segments)
        line.truncate(self.width, overflow="ellipsis")
        self._console.print(line, no_wrap=True)

    def folded(self, lead: Segment, *segments: Segment) -> None:
        """Add text after a lead, folded at blanks; later lines begin in the same column."""
        table = Table.grid()
        if lead[1]:
            table.add_column(width=len(lead[1]), no_wrap=True)
        table.add_column(max_width=self.width - len(lead[1]))
        table.add_row(*([assembled([lead])] if lead[1] else []), assembled(segments))
        self._console.print(table)
