"""Reads a saved file line by line, and says at which line it stops being a recording."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import IO, Final

from poolscope import records
from poolscope.recording.validation import check

LONGEST_LINE: Final = 1_000_000
"""No record is longer; a file without line ends must not fill the memory."""


@dataclass(slots=True)
class Reading:
    """One pass over a saved file; ``trouble`` and ``cut`` are known when it is over."""

    path: str
    read: int = 0
    """Records so far."""
    trouble: str | None = None
    """Which line is not a record, and why; the rest of the file is left out."""
    cut: bool = False
    """The last line is incomplete: the program was killed, or is writing just now."""
    source: IO[bytes] | None = None
    """Read this instead of ``path``, which is then only its name."""

    def records(self) -> Iterator[records.Record]:
        """The records up to the first line that is not a record. OSError if the file cannot be read."""
        with open(self.path, "rb") if self.source is None else nullcontext(self.source) as file:
            for number, line in self._lines(file):
                try:
                    record = parse(line)
                    _expect(number, record)
                except ValueError as error:
                    self.trouble = f"line {number} of {self.path} is not a poolscope record ({error})"
                    return
                self.read += 1
                yield record

    def _lines(self, file: IO[bytes]) -> Iterator[tuple[int, str]]:
        self.cut = yield from lines_in(file)


def parse(line: str) -> records.Record:
    """The record of one line, every field of the type it must have; ValueError if it is not a record of poolscope."""
    try:
        record = records.from_json(line)
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    check(record)
    return record


def _expect(number: int, record: records.Record) -> None:
    if isinstance(record, records.Header):
        if record.schema > records.SCHEMA_VERSION:
            raise ValueError(
                f"schema {record.schema} is newer than this poolscope, which knows {records.SCHEMA_VERSION}"
            )
    elif number == 1:
        raise ValueError(f"a saved file begins with a header, not with {record.type!r}")


def lines_in(file: IO[bytes]) -> Generator[tuple[int, str], None, bool]:
    """(number, line) of every whole line; returns whether the last one is cut off."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if line.endswith(b"\n"):
            yield number, line[:-1].decode("utf-8", "replace")
        elif len(line) >= LONGEST_LINE:  # far too long to be ours
            yield number, line[:80].decode("utf-8", "replace")
            return False
        else:
            return True
    return False
