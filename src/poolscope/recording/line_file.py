"""Writing records as JSON Lines, so that a reader can follow while the program runs.

The file is opened anew for every flush: a descriptor kept open would be closed by a program that
becomes a daemon, and its number would belong to a file of the program's.
"""

from __future__ import annotations

import os
from typing import Final

from poolscope.records import Record, to_json

FLUSH_AT: Final = 512
"""Lines kept back at most; a flush writes them in one piece."""


class LineFile:
    """A file of records that grows at its end; whole lines only."""

    def __init__(self, path: str, mode: int = 0o600, *, make_directory: bool = False) -> None:
        self.path = path
        self.error: str | None = None
        """Why writing was given up, if it was."""
        self._mode = mode
        self._make_directory = make_directory
        self._lines: list[str] = []

    def __repr__(self) -> str:
        return f"<LineFile {self.path}, {len(self._lines)} lines waiting>"

    def create(self) -> None:
        """Make the file, empty; OSError if that cannot be."""
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, self._mode))

    def add(self, record: Record) -> None:
        """Put one record at the end, in memory at first."""
        self.add_line(to_json(record))

    def add_line(self, line: str) -> None:
        """Put one line, without its newline, at the end."""
        if self.error is None:
            self._lines.append(line)
            if len(self._lines) >= FLUSH_AT:
                self.flush()

    def flush(self) -> None:
        """Write what waits; an error ends the writing and is remembered, never raised."""
        if not self._lines:
            return
        # Taken before it is written: a signal handler that flushes in the middle must not write it twice.
        lines, self._lines = self._lines, []
        try:
            if self._make_directory:
                _make_shared(os.path.dirname(self.path))
                self._make_directory = False
            append(self.path, "".join(line + "\n" for line in lines).encode(), self._mode)
        except OSError as error:
            self.error = error.strerror or type(error).__name__
            self._lines = []


def append(path: str, data: bytes, mode: int = 0o600) -> None:
    """Write ``data`` at the end of ``path``, whole."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _make_shared(directory: str) -> None:
    """Root's children may become another user before they write; nobody else's can."""
    shared = os.geteuid() == 0
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return
    if shared:
        os.chmod(directory, 0o1777)  # noqa: S103  (sticky, as /tmp is, under a name nobody can guess)
