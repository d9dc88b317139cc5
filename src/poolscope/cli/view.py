"""``poolscope view``: the report of a saved file, as the run printed it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from poolscope import records
from poolscope.recording.reader import Reading
from poolscope.recording.spools import place_for, spools_in
from poolscope.reports.picture import Picture

_NOT_OURS: Final = "is no poolscope record"


class UnreadableError(Exception):
    """A file that cannot be read as a recording at all; the text is one clear line."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status
        """What the command ends with: 2 for a file that is not there, 1 for one that is not ours."""


def read(path: str) -> tuple[Picture, list[str], bool]:
    """The picture of a saved file, notes about what is odd, and whether all of it was readable.

    `UnreadableError` if there is no such file or nothing in it is ours.
    """
    picture = Picture()
    notes: list[str] = []
    for record in stream(path, notes):
        picture.add(record)
    return picture, notes, not has_trouble(notes)


def has_trouble(notes: list[str]) -> bool:
    """Whether one of the notes says that a line was not ours."""
    return any(_NOT_OURS in text for text in notes)


def stream(path: str, notes: list[str]) -> Iterator[records.Record]:
    """The records of a saved file and of the children whose killed parent could not bring them home."""
    reading = Reading(path)
    last: records.Record | None = None
    try:
        for record in reading.records():
            last = record
            yield record
    except OSError as error:
        raise UnreadableError(f"can't read {path!r}: {error.strerror}", 2) from None
    # A first process that only forks says nothing until its end; its children do.
    if not reading.read and (reading.trouble is not None or not _spools(path)):
        raise UnreadableError(reading.trouble or f"{path} is empty: nothing was recorded yet", 1)
    if reading.trouble is not None:
        notes.append(f"{reading.trouble}; the {reading.read} records before it are shown")
        return
    if reading.cut:
        notes.append(f"the last line of {path} is cut off and was left out")
    if not isinstance(last, records.Summary):
        yield from _leftovers(path, notes)


def _leftovers(path: str, notes: list[str]) -> Iterator[records.Record]:
    notes.append(f"{path} has no end: the program was killed, or is still running")
    for spool in _spools(path):
        reading = Reading(spool)
        try:
            yield from reading.records()
        except OSError as error:
            notes.append(f"can't read {spool!r}: {error.strerror}")


def _spools(path: str) -> list[str]:
    return spools_in(place_for(os.path.abspath(path)))
