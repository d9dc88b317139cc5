"""``--poolscope-report sarif:FILE``, ``github`` and others: the findings for review tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import pytest

from poolscope import __version__
from poolscope.recording.errors import CannotWriteError, UsageError
from poolscope.recording.replaced import replaced
from poolscope.reports import github, gitlab, markdown, sarif
from poolscope.reports.annotations import Annotation
from poolscope.under_pytest.shown import Shown


def _sarif(annotations: Sequence[Annotation], root: str) -> str:
    return sarif.render(annotations, root, __version__)


RENDER: Final[dict[str, Callable[[Sequence[Annotation], str], str]]] = {
    "sarif": _sarif,
    "github": github.render,
    "gitlab": gitlab.render,
    "markdown": markdown.render,
}
ON_STDOUT: Final = "github"
"""Formats without a file, because their tool reads what a job prints."""


class Outputs:
    """The requested outputs: each a format, and a file unless it goes to stdout."""

    def __init__(self, asked: Iterable[str]) -> None:
        """UsageError if one cannot be read."""
        self._asked = [_parsed(text) for text in asked]
        self._waiting: list[str] = []

    def __repr__(self) -> str:
        return f"<Outputs {self._asked}>"

    def write(self, shown: Sequence[Shown], root: str) -> list[str]:
        """Write the files, and keep what goes to stdout until the tests' own output is over; the result says which
        files could not be written.
        """
        annotations = [Annotation(one.finding, one.lanes) for one in shown]
        failed = []
        for name, path in self._asked:
            try:
                with replaced(path, self._waiting.append) as write:
                    write(RENDER[name](annotations, root))
            except CannotWriteError as error:
                failed.append(f"--poolscope-report={name}: {error}")
        return failed

    def announce(self, terminal: pytest.TerminalReporter) -> None:
        """Print what goes to stdout."""
        for text in self._waiting:
            terminal.ensure_newline()
            terminal.write(text)


def _parsed(text: str) -> tuple[str, str | None]:
    name, _, path = text.partition(":")
    if name not in RENDER:
        raise UsageError(f"--poolscope-report: there is no report {name!r} (there are {', '.join(RENDER)})")
    if not path and text != ON_STDOUT:
        raise UsageError(f"--poolscope-report={text} needs a file: {name}:FILE")
    return name, path or None
