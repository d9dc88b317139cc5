"""From a picture to the place where the report was wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from poolscope.recording.options import Options
from poolscope.recording.outputs import STDOUT
from poolscope.recording.own_file import OwnFile
from poolscope.recording.stderr import colored, note, print_text, width
from poolscope.reports.printable import page

if TYPE_CHECKING:
    from poolscope.reports.picture import Picture

_path_at_start = tuple(sys.path)


def is_empty(picture: Picture) -> bool:
    """Whether there is nothing to tell but that; then no table library needs loading (60 ms)."""
    seen = picture.records - len(picture.headers) - len(picture.summaries)
    odd = any(
        s.facts_dropped or s.hooks_disabled or s.children_not_followed for s in picture.summaries.values()
    )
    return not seen and not odd


@contextmanager
def our_imports() -> Iterator[None]:
    """Import from where we were started: the program may lie beside a ``rich.py`` of its own."""
    theirs, sys.path[:] = list(sys.path), _path_at_start
    try:
        yield
    finally:
        sys.path[:] = theirs


def publish(picture: Picture, options: Options, file: OwnFile | None) -> None:
    """Print the report, or write it where it was asked for; never raises for a reader that is gone."""
    if file is not None:
        text = report(picture, json=options.json, columns=width(), color=False)
        try:
            file.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            note(f"can't write -o {file.path!r}: {error.strerror}")
        return
    on_stdout = options.output == STDOUT
    if on_stdout or not options.quiet:
        stream = sys.__stdout__ if on_stdout else sys.__stderr__
        color = not options.json and colored(not options.no_color, stream)
        text = report(picture, json=options.json, columns=width(), color=color)
        print_text(text, on_stdout=on_stdout)


def report(picture: Picture, *, json: bool, columns: int, color: bool) -> str:
    """The report as text that ends in a newline."""
    if not json and not color and is_empty(picture):
        from poolscope.reports.merging import nothing_seen

        return page([f"poolscope  {nothing_seen(picture)}"])
    with our_imports():
        if json:
            from poolscope.reports import json_report

            text = json_report.render(picture)
        else:
            from poolscope.reports import text as text_report

            text = text_report.render(picture, columns, color)
    return text if text.endswith("\n") else text + "\n"
