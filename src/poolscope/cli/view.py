"""``poolscope view``: saved files in any of the formats; as text, what the run printed."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from poolscope import records
from poolscope.cli.gated import STDIN
from poolscope.recording.errors import CommandError
from poolscope.recording.own_file import is_live
from poolscope.recording.reader import Reading
from poolscope.recording.spools import beside, is_written, open_spools
from poolscope.reports.overview import Overview
from poolscope.reports.renderer import Renderer
from poolscope.reports.words import count

_NOT_OURS: Final = "is not a poolscope record"
_BEYOND_PIDS: Final = 10_000_000
"""Larger than any process id."""
_ADJUSTED: Final = 1.0
"""Seconds by which one machine's clock may be set between two recordings; more is another machine, or a restart."""
_MOMENTS: Final = ("_at", "since", "start")
"""How the names of those fields of records end that are moments."""


class UnreadableError(CommandError):
    """There is no such file."""


class NoRecordingError(CommandError):
    """A file that is not a recording at all."""

    status = 1


class GatedRenderer:
    """A renderer, and what the gate needs beside it: findings, and the lines that the run reached."""

    def __init__(self, renderer: Renderer, *, gated: bool) -> None:
        """A renderer without findings of its own gets an overview beside it only if ``gated``: it costs as much
        again.
        """
        self._renderer = renderer
        drawn: Overview | None = getattr(renderer, "overview", None)
        self._overview = drawn or Overview()
        self._apart = gated and drawn is None
        self.go_on = renderer.go_on
        self.finish = renderer.finish

    def __repr__(self) -> str:
        return f"<GatedRenderer {self._renderer!r}>"

    def add(self, record: records.Record) -> None:
        """Take in the next record."""
        self._renderer.add(record)
        if self._apart:
            self._overview.add(record)

    def found(self) -> list[records.Finding]:
        """All findings, the ignored ones too."""
        return self._overview.found()

    @property
    def lines(self) -> set[records.CallSite]:
        """Lines of code that built clients or sent requests."""
        return self._overview.lines


def render(files: Sequence[str], renderer: Renderer) -> list[str]:
    """Show saved files, and return notes about what is odd.

    `CommandError` if one is not there or nothing in it is ours.
    """
    notes: list[str] = []
    processes = _Processes()
    for path in sorted(files, key=_began) if len(files) > 1 else files:
        running: set[int] = set()
        for record in stream(path, notes, running):
            renderer.add(processes.apart(record) if len(files) > 1 else record)
        renderer.go_on({processes.number_of(pid) for pid in running})
        processes.next_file()
    renderer.finish()
    return notes


def recordings(paths: Sequence[str]) -> list[str]:
    """The files, and the recordings in folders."""
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        inside = [entry.path for entry in _entries(path) if _is_saved(entry)]
        if not inside:
            raise UnreadableError(f"no file in {path} is a poolscope recording")
        found += inside
    return found


def _began(path: str) -> float:
    """Unix time at which its program began; without a header it comes last, like what can be read only once."""
    try:
        first = next(Reading(path).records(), None) if os.path.isfile(path) else None
    except OSError:
        return math.inf
    return first.wall_at_zero + first.started_at if isinstance(first, records.Header) else math.inf


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UnreadableError(f"can't read {folder!r}: {error.strerror}") from None


def _is_saved(entry: os.DirEntry[str]) -> bool:
    """Whether it begins like a recording, or is empty while its children have written."""
    try:
        if not entry.is_file():
            return False
        with open(entry.path, "rb") as file:
            beginning = file.read(16)
    except OSError:
        return False
    return beginning.startswith(b'{"type":"header"') or (not beginning and os.path.isdir(beside(entry.path)))


class _Processes:
    """Makes one stream of several files, perhaps of several machines: every process has an id of its own, as in
    containers most have id 1, and all times are on the clock of the first file.
    """

    def __init__(self) -> None:
        self._earlier: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._zero: float | None = None
        self._behind: float | None = None
        """Seconds to add to the times of the current file; None before its first header."""

    def __repr__(self) -> str:
        return f"<_Processes {self._numbers} beside {len(self._earlier)} earlier ones>"

    def apart(self, record: records.Record) -> records.Record:
        """The record; with another process id if a different process had the same id in an earlier file."""
        if isinstance(record, records.Header):
            if self._zero is None:
                self._zero = record.wall_at_zero
            if self._behind is None:
                behind = record.wall_at_zero - self._zero
                self._behind = behind if abs(behind) > _ADJUSTED else 0.0
            if self._behind:
                record = replace(record, wall_at_zero=record.wall_at_zero - self._behind)
        if self._behind:
            record = _later(record, self._behind)
        pid = self.number_of(record.pid)
        return record if pid == record.pid else replace(record, pid=pid)

    def number_of(self, pid: int) -> int:
        """The new id of a process in the current file."""
        if pid not in self._numbers:
            number = pid
            while number in self._earlier:
                number += _BEYOND_PIDS
            self._numbers[pid] = number
        return self._numbers[pid]

    def next_file(self) -> None:
        """The next records come from another file."""
        self._earlier.update(self._numbers.values())
        self._numbers = {}
        self._behind = None


def _later(thing: Any, by: float) -> Any:
    """A copy of a record in which every moment is ``by`` seconds later."""
    if isinstance(thing, list):
        return [_later(item, by) for item in thing]
    if isinstance(thing, dict):
        return {key: _later(value, by) for key, value in thing.items()}
    if not is_dataclass(thing) or isinstance(thing, type):
        return thing
    changed = {field.name: _later(getattr(thing, field.name), by) for field in fields(thing)}
    moments = (name for name, value in changed.items() if name.endswith(_MOMENTS) and value is not None)
    return replace(thing, **changed | {name: changed[name] + by for name in moments})


def has_trouble(notes: list[str]) -> bool:
    """Whether one of the notes says that a line was not ours."""
    return any(_NOT_OURS in text for text in notes)


def stream(path: str, notes: list[str], running: set[int] | None = None) -> Iterator[records.Record]:
    """The records of a saved file, and of children that were not merged, or not yet. ``running`` gets the ids of the
    processes that still run.
    """
    running = set() if running is None else running
    reading = _standard_input() if path == STDIN else Reading(path)
    first: records.Record | None = None
    last: records.Record | None = None
    try:
        for record in reading.records():
            first, last = first or record, record
            yield record
    except OSError as error:
        raise UnreadableError(f"can't read {path!r}: {error.strerror}") from None
    children = _Children(path)
    if reading.trouble is not None:
        if not reading.read:
            raise NoRecordingError(reading.trouble)
        notes.append(f"{reading.trouble}; the {reading.read} records before it are shown")
        return
    if reading.cut:
        notes.append(f"the last line of {reading.path} is cut off and was left out")
    yield from children.records(notes, running)
    if not reading.read and not children.read:
        if reading.cut:
            raise NoRecordingError(f"the only line of {reading.path} is cut off, or it is not a recording")
        raise NoRecordingError(f"{reading.path} is empty: nothing was recorded{_yet(path)}")
    if not isinstance(last, records.Summary):
        live = None if path == STDIN else is_live(path)
        notes.append(f"{reading.path} has no end: {_WHY[live]}")
        if live and first is not None:
            running.add(first.pid)
    elif children.read:
        notes.append(f"{count(children.read, 'child', 'children')} of {path} outlived the first process")


def _standard_input() -> Reading:
    if sys.stdin is None:
        raise UnreadableError("can't read standard input: it is closed")
    return Reading("standard input", source=sys.stdin.buffer)


def _yet(path: str) -> str:
    return "" if path != STDIN and is_live(path) is False else " yet"


_WHY: Final = {
    None: "the program was killed, or is still running",
    True: "the program is still running",
    False: "the program was killed, or could not write to its end",
}
"""Keyed by whether a process still holds its file."""


class _Children:
    """The spools beside a saved file: of a run that goes on, was killed, or was outlived by children."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.read = 0

    def records(self, notes: list[str], running: set[int]) -> Iterator[records.Record]:
        """Their records."""
        try:
            status = os.stat(self._path)
        except OSError:  # standard input
            return
        if not stat.S_ISREG(status.st_mode):
            return
        # A first process that only forks says nothing until its end; its children do.
        for spool in open_spools(beside(self._path), notes, owner=status.st_uid):
            reading = Reading(os.path.basename(spool.name), source=spool)
            goes_on = is_written(spool)
            for record in reading.records():
                yield record
                if goes_on:
                    running.add(record.pid)
            self.read += 1
            if reading.trouble is not None:
                notes.append(reading.trouble)
