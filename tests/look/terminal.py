"""A program on its own terminal, seen through pyte, a terminal emulator in Python."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

import pyte

ALTERNATE = 1049 << 5
"""The mode of a program that draws on a screen of its own; pyte keeps private modes so."""


class Terminal:
    """Start a command, type to it, look at the screen."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], columns: int, lines: int
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        plain = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.pid, self._end = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
            os.execve(command[0], list(command), {**plain, "TERM": "xterm-256color"})

    def types(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def is_given_back(self) -> bool:
        """Whether the screen from before is shown again, with its cursor."""
        return ALTERNATE not in self._screen.mode and not self._screen.cursor.hidden

    def shows(self, *words: str, but_not: str | None = None, within: float = 30.0) -> str:
        """Wait until the screen shows all of this; returns the screen. A program may draw it in several pieces."""

        def fits(text: str) -> bool:
            return all(each in text for each in words) and (but_not is None or but_not not in text)

        deadline = time.monotonic() + within
        while not fits(self.text):
            assert time.monotonic() < deadline, self.text
            self._read(0.05)
        return self.text

    def ends(self) -> int:
        """Wait for the program's end; returns its status."""
        deadline = time.monotonic() + 30
        while True:
            self._read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while self._read(1.0):  # its last words come in pieces
                    pass
                os.close(self._end)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(self.text)

    def closes(self) -> int:
        """The window is closed; returns the program's status."""
        os.close(self._end)
        deadline = time.monotonic() + 30
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.05)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._end)

    def _read(self, patience: float) -> bool:
        """Take a piece of what it wrote; False if none came, or none will."""
        if not select.select([self._end], [], [], patience)[0]:
            return False
        try:
            self._stream.feed(os.read(self._end, 65_536))
        except OSError:  # the other end is closed
            return False
        return True
