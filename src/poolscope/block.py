"""What a block of code did to its connections: as a report, a page, a file.

with poolscope.record() as seen:
    fetch_everything()
print(seen.report())
seen.to_html("fetching.html")
"""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from html import escape
from types import TracebackType
from typing import Any, Final, Self

from poolscope.facts import now
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.ledger import Ledger
from poolscope.libraries.wrapper import getframe
from poolscope.queue import FACTS
from poolscope.recording.replaced import replaced
from poolscope.recording.stream import Stream
from poolscope.records import Finding, Record, Summary, from_json, to_json
from poolscope.reports.renderer import Format, Look, render, renderer

IN_MEMORY: Final = 4_000_000
"""Bytes of records kept in memory; beyond that they go to a temporary file without a name."""
PIECE: Final = 100_000
"""Bytes of records read at a time."""
SHOWN: Final = 3_000_000
"""A page larger than this is not put into a notebook, which would save it with the cell."""


class Recording:
    """What happened in the block; it can also be read inside the block."""

    def __init__(self, name: str, origins: tuple[str, ...] = (), keep_query: bool = False) -> None:
        self.name = name
        self._lines = _Lines()
        self._stream = Stream(name, None, now(), origins, self._lines)
        self._ledger = Ledger(self._stream.take, keep_query)
        self._summary: Summary | None = None

    def __repr__(self) -> str:
        return f"<Recording {self.name}: {self._stream.sums}>"

    def __enter__(self) -> Self:
        FACTS.settle()
        if self._summary is not None or not INSTRUMENTOR.hold(self):
            raise RuntimeError("a recording is of one block: make another with poolscope.record()")
        FACTS.add_consumer(self._ledger.consume)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stream.end()
        self._settle()
        FACTS.remove_consumer(self._ledger.consume)
        self._ledger.close()
        self._summary = self._stream.summary(0 if kind is None else 1, 0)
        INSTRUMENTOR.release(self)

    def _settle(self) -> None:
        if self._summary is None:
            gc.collect()
            with FACTS.settled():  # no other thread's records come before the header
                self._stream.head()

    def records(self) -> Iterator[Record]:
        """Every record, in order, the findings before the summary."""
        from poolscope.findings import new_findings

        self._settle()
        findings = new_findings()
        for record in self._lines:
            findings.consume(record)
            yield record
        yield from findings.found()
        yield self._summary or self._stream.summary(None, 0)

    @property
    def findings(self) -> list[Finding]:
        """The findings, each with its line of code."""
        return [record for record in self.records() if isinstance(record, Finding)]

    def report(self, columns: int = 100) -> str:
        """The report as text, as ``poolscope run`` prints it."""
        return self._rendered("text", Look(columns=columns))

    def to_html(self, path: str | os.PathLike[str], *, source: bool = False) -> None:
        """Write the page with every connection on a time axis; with ``source``, lines of code as well."""
        self.to("html", path, source=source)

    def to(self, format: Format, path: str | os.PathLike[str], *, source: bool = False) -> None:  # noqa: A002
        """Write any of the formats of ``poolscope view``: text, json, html, perfetto, har, …"""
        with replaced(os.fspath(path), print) as write:
            render(self.records(), renderer(format, write, Look(source=source)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the records as ``poolscope run --save`` does, for ``view`` and ``diff``."""
        with replaced(os.fspath(path), print) as write:
            for record in self.records():
                write(to_json(record) + "\n")

    def _rendered(self, format: Format, look: Look) -> str:  # noqa: A002
        pieces: list[str] = []
        render(self.records(), renderer(format, pieces.append, look))
        return "".join(pieces)

    def _repr_html_(self) -> str:
        """The page in a notebook, in a frame that can reach neither the notebook nor the network."""
        page = self._rendered("html", Look())
        if len(page) > SHOWN:
            words = "The page is too large for a notebook: write it with <code>to_html(path)</code>."
            return f"<pre>{escape(self.report())}</pre><p>{words}</p>"
        return (
            f'<iframe title="{escape(self.name)} · poolscope" sandbox="allow-scripts" width="100%" height="760"'
            f' frameborder="0" srcdoc="{escape(page)}"></iframe>'
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The report, where IPython has only a terminal."""
        printer.text(self.report() if not cycle else repr(self))


class _Lines:
    """Records as lines in memory, or in a temporary file where there are very many."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        self._lock = threading.Lock()
        """Held for moments: any thread's request may add records while another reads."""
        weakref.finalize(self, self._file.close)

    def __repr__(self) -> str:
        return "<_Lines>"

    def add(self, record: Record) -> None:
        """Put one record at the end."""
        with self._lock:
            self._file.write(to_json(record).encode() + b"\n")

    def __iter__(self) -> Iterator[Record]:
        at, lines = 0, self._some(0)
        while lines:
            yield from map(from_json, lines)
            at += sum(map(len, lines))
            lines = self._some(at)

    def _some(self, at: int) -> list[bytes]:
        with self._lock:
            self._file.seek(at)
            lines = self._file.readlines(PIECE)
            self._file.seek(0, os.SEEK_END)
        return lines


def record(*, origins: tuple[str, ...] = (), keep_query: bool = False, name: str | None = None) -> Recording:
    """A context manager that watches every connection of a block and can show what happened.

    ``origins`` are patterns, as in ``*.example.com``; ``keep_query`` keeps the values of URL queries.
    """
    if name is None:
        caller = getframe(1)
        name = f"{os.path.basename(caller.f_code.co_filename)}:{caller.f_lineno}"
    return Recording(name, tuple(origins), keep_query)
