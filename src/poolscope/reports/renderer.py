"""The interface of all formats: a renderer takes the records of a stream one by one, and writes its text.

To add a format: a file of its name with a function ``renderer(write, look)``, and the name in `Format`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias, get_args

if TYPE_CHECKING:
    from poolscope.records import Finding, Record
    from poolscope.reports.overview import Overview

Format: TypeAlias = Literal[
    "text", "json", "html", "perfetto", "har", "sarif", "github", "gitlab", "markdown"
]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
FORMAT_HELP: Final = (
    "text; json, for programs; html, a page with every connection on a time axis; perfetto, for Perfetto's and"
    " Chrome's trace viewers; har, an HTTP archive; sarif, for code scanning;"
    " github and gitlab, for comments beside a line in reviews; markdown, for the summary of a job."
)
Write: TypeAlias = Callable[[str], object]


class Look(NamedTuple):
    """Settings of a rendering."""

    columns: int = 100
    color: bool = False
    source: bool = False
    """Show the lines of code around each call site."""
    shows: Callable[[Finding], bool] | None = None
    """Which findings to show; None for all."""
    root: str = ""
    """Where the project begins, for formats that name files from there."""


class Renderer(Protocol):
    """One rendering of one stream of records, in bounded memory."""

    def add(self, record: Record) -> None:
        """Take in the next record of the stream; a later record of the same id replaces an earlier one."""
        ...

    def go_on(self, pids: set[int]) -> None:
        """These processes are still running: that the stream ends is not their end."""
        ...

    def finish(self) -> None:
        """The stream is over: write the rest."""
        ...


class SummaryRenderer:
    """A format that is written at the end, from the sums."""

    def __init__(self, write: Write, look: Look, render: Callable[[Overview], str]) -> None:
        from poolscope.reports.overview import Overview

        self.overview = Overview()
        self.overview.shows = look.shows
        self.add = self.overview.add
        self._write = write
        self._render = render

    def __repr__(self) -> str:
        return f"<SummaryRenderer {self.overview!r}>"

    def go_on(self, pids: set[int]) -> None:
        """These processes are still running."""
        self.overview.running |= pids

    def finish(self) -> None:
        """Write the whole report."""
        self._write(self._render(self.overview))


def renderer(format: Format, write: Write, look: Look) -> Renderer:  # noqa: A002  (the option's name)
    """A new rendering that sends its text, in pieces, to ``write``."""
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r} (there are {', '.join(FORMATS)})")
    module = import_module(f"poolscope.reports.{'json_report' if format == 'json' else format}")
    fresh: Renderer = module.renderer(write, look)
    return fresh


def render(records: Iterable[Record], rendering: Renderer) -> None:
    """Render a whole stream."""
    for record in records:
        rendering.add(record)
    rendering.finish()
