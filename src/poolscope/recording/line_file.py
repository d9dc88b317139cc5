"""Writing records as JSON Lines, so that a reader can follow while the program runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from poolscope.recording.own_file import OwnFile

if TYPE_CHECKING:
    from poolscope.records import Record

FLUSH_AT: Final = 512
"""Lines held back at most; a flush writes them in one piece."""
TOO_MANY: Final = 65_536
"""How many lines wait at most for the reader of a pipe."""


class LineFile:
    """A file of records to which whole lines are appended; created with the first line if need be."""

    def __init__(self, path: str, open_file: Callable[[], OwnFile], opened: OwnFile | None = None) -> None:
        self.path = path
        self.error: str | None = None
        """Why writing stopped, if it did."""
        self._open = open_file
        self._file = opened
        self._lines: list[str] = []
        self._to_json: Callable[[Record], str] | None = None  # loaded with the first record

    def __repr__(self) -> str:
        return f"<LineFile {self.path}, {len(self._lines)} lines waiting>"

    def add(self, record: Record) -> None:
        """Put one record at the end, in memory at first."""
        if self._to_json is None:
            from poolscope.records import to_json

            self._to_json = to_json
        self.add_line(self._to_json(record))

    def add_line(self, line: str) -> None:
        """Put one line, without its newline, at the end."""
        if self.error is not None:
            return
        self._lines.append(line)
        if len(self._lines) < FLUSH_AT:
            return
        # We may be inside a request, which must not wait for the reader of a pipe.
        if self._file is None or self._file.regular:
            self.flush()
        elif len(self._lines) >= TOO_MANY:
            self._give_up("it is read too slowly")

    def flush(self) -> None:
        """Write the waiting lines; an error ends all writing and is remembered, never raised."""
        if not self._lines:
            return
        # Taken out before writing, so that a signal handler that flushes in between does not write it twice.
        lines, self._lines = self._lines, []
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write("".join(line + "\n" for line in lines).encode())
        except OSError as error:
            self._give_up(error.strerror or type(error).__name__)

    def add_whole(self, lines: Iterable[str]) -> bool:
        """Append all of them, or none; False if there was no room."""
        self.flush()
        if self._file is None or not self._file.regular:
            for line in lines:
                self.add_line(line)
            return True
        try:
            before = self._file.size()
            for line in lines:
                self.add_line(line)
            self.flush()
            if self.error is not None:
                self._file.cut(before)
        except OSError as error:
            self._give_up(error.strerror or type(error).__name__)
        return self.error is None

    def _give_up(self, why: str) -> None:
        self.error = why
        self._lines = []

    def leave(self) -> None:
        """In a forked child: the file belongs to the parent."""
        if self._file is not None:
            self._file.leave()
