"""Writes the report where it was wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from poolscope.recording.options import Options
from poolscope.recording.outputs import STDOUT
from poolscope.recording.own_file import OwnFile
from poolscope.recording.stderr import colored, note, print_text, width
from poolscope.records import Record
from poolscope.reports.renderer import Look, Write, render, renderer

if TYPE_CHECKING:
    from poolscope.reports.overview import Overview

PIECE: Final = 1_000_000
"""Characters written at once."""
_path_at_start = tuple(sys.path)


@contextmanager
def our_imports() -> Iterator[None]:
    """Import from where poolscope was started: there may be another ``rich.py`` beside the program."""
    theirs, sys.path[:] = list(sys.path), _path_at_start
    try:
        yield
    finally:
        sys.path[:] = theirs


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
        from poolscope.reports.whole_run import only_nothing

        return only_nothing(overview)
    with our_imports():
        from poolscope.reports import text

        return text.render(overview, columns, color)
