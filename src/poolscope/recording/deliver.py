"""Writes the report where it was wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from poolscope.recording.options import Options
from poolscope.recording.our_imports import our_imports
from poolscope.recording.outputs import STDOUT
from poolscope.recording.own_file import OwnFile
from poolscope.recording.stderr import colored, note, print_text, width
from poolscope.reports.nothing import nothing, only_nothing
from poolscope.reports.renderer import Look, Write, render, renderer

if TYPE_CHECKING:
    from poolscope.records import Record
    from poolscope.reports.overview import Overview

PIECE: Final = 1_000_000
"""Characters written at once."""


def needs_report(options: Options, *, by_hand: bool) -> bool:
    """Whether a run without any request needs more than a line on stderr, which takes no module that draws.

    ``by_hand``: a person starts the program and watches.
    """
    shown = by_hand and not options.quiet
    return options.output is not None or (shown and colored(not options.no_color, sys.__stderr__))


def publish_nothing(options: Options, not_observed: list[str]) -> None:
    """Print that line, or nothing at all if ``--quiet`` was given."""
    if not options.quiet:
        print_text(only_nothing(nothing(not_observed, options.origin)))


def publish(
    overview: Overview,
    options: Options,
    file: OwnFile | None,
    stream: Callable[[], Iterable[Record]],
    look: Look,
) -> None:
    """Print the report, or write it to its file; never raises if the reader is gone. ``stream`` yields the records
    again, for formats that draw more than sums.
    """
    if file is not None:
        try:
            _write(overview, options, file, stream, look)
        except OSError as error:
            note(f"can't write -o {file.path!r}: {error.strerror}")
        return
    on_stdout = options.output == STDOUT
    if options.format != "text" and on_stdout:
        _render(overview, options, partial(print_text, on_stdout=True), stream, look)
    elif options.format == "text" and (on_stdout or not options.quiet):
        color = colored(not options.no_color, sys.__stdout__ if on_stdout else sys.__stderr__)
        print_text(report(overview, columns=width(), color=color), on_stdout=on_stdout)


def _write(
    overview: Overview, options: Options, file: OwnFile, stream: Callable[[], Iterable[Record]], look: Look
) -> None:
    """A file holds many text reports, one after the other, but only one of any other format."""
    if options.format == "text":
        file.write(report(overview, columns=width(), color=False).encode("utf-8", "backslashreplace"))
        return
    file.empty()
    pieces = _Pieces(file)
    _render(overview, options, pieces.add, stream, look)
    pieces.flush()


def _render(
    overview: Overview, options: Options, write: Write, stream: Callable[[], Iterable[Record]], look: Look
) -> None:
    with our_imports():
        if options.format == "json":
            from poolscope.reports import json_report

            write(json_report.render(overview))
            return
        render(stream(), renderer(options.format, write, look))


class _Pieces:
    """Text on its way into a file, in large pieces."""

    def __init__(self, file: OwnFile) -> None:
        self._file = file
        self._waiting: list[str] = []
        self._length = 0

    def __repr__(self) -> str:
        return f"<_Pieces of {self._file!r}>"

    def add(self, text: str) -> None:
        """Write it, or keep it until there is more text."""
        self._waiting.append(text)
        self._length += len(text)
        if self._length >= PIECE:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        self._file.write("".join(self._waiting).encode("utf-8", "backslashreplace"))
        self._waiting, self._length = [], 0


def report(overview: Overview, *, columns: int, color: bool) -> str:
    """The report as text that ends in a newline."""
    if not color and overview.is_empty:  # then no table library needs loading (60 ms)
        from poolscope.reports.whole_run import nothing_seen

        return only_nothing(nothing_seen(overview))
    with our_imports():
        from poolscope.reports import text

        return text.render(overview, columns, color)
