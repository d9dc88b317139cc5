"""Printing on stderr without ever changing how the program ends.

Straight to the descriptor: bytes left in a broken ``sys.stderr`` would make the interpreter end with
status 120.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from poolscope.facts import now
from poolscope.genuine import poll
from poolscope.recording.errors import CannotWriteError
from poolscope.reports.printable import page

PATIENCE: Final = 5.0
"""Seconds to wait for the reader of a full pipe before the rest is given up."""
WIDTH: Final = 100
"""Columns to draw for where nobody knows better."""
PLAINLY: Final = "poolscope.plainly"
_IN_ASCII: Final = {
    "·": "-", "–": "-", "−": "-", "─": "-", "━": "=", "┄": "~", "█": "#", "▒": "%", "∥": "|",
    "×": "x", "✕": "x", "→": ">", "…": "...", "µ": "u",
}  # fmt: skip
_CHUNK: Final = 4_096  # a pipe that polls writable takes as much without blocking (PIPE_BUF)


def print_text(text: str, *, on_stdout: bool = False) -> bool:
    """Write ``text`` to the process's real stderr (or stdout); False if that failed for any reason."""
    stream = sys.__stdout__ if on_stdout else sys.__stderr__
    try:
        if stream is None or stream.closed:
            return False
        descriptor = stream.fileno()
        encoding = stream.encoding or "utf-8"
        stream.flush()
    except Exception:  # a stderr that the program broke or replaced is the program's own affair
        return False
    try:
        write_patiently(descriptor, text.encode(encoding, PLAINLY))
    except (OSError, ValueError):
        return False
    return True


def write_patiently(descriptor: int, data: bytes) -> None:
    """Write even if the reader is slow; OSError if it is gone."""
    if poll is None:  # Windows has neither poll() nor SIGPIPE
        os.write(descriptor, data)
        return
    with unharmed():
        _write(descriptor, data, poll())


@contextmanager
def unharmed() -> Iterator[None]:
    """Our write that fails sends the program no signal: it may have reset SIGPIPE and SIGXFSZ to their deadly default."""
    sent = {signal.SIGPIPE, signal.SIGXFSZ}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, sent)
    try:
        yield
    except (OSError, ValueError):
        # sigtimedwait() would ask in one call, but macOS has none.
        for number in (sent - blocked) & signal.sigpending():
            signal.sigwait({number})
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _write(descriptor: int, data: bytes, writable: Any) -> None:
    from select import POLLOUT

    writable.register(descriptor, POLLOUT)
    deadline = now() + PATIENCE
    view = memoryview(data)
    while view:
        if not writable.poll(max(0.0, deadline - now()) * 1000):
            raise TimeoutError(errno.ETIMEDOUT, "nobody reads it")
        try:
            view = view[os.write(descriptor, view[:_CHUNK]) :]
        except BlockingIOError:
            continue


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: the characters that look most like those that cannot be written."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unwritable = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(character, "?") for character in unwritable), error.end


codecs.register_error(PLAINLY, _plainly)


def on_any_terminal() -> None:
    """For a process of our own: let stdout and stderr take any text, whatever their encoding has."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAINLY)


def say(text: str, *, nl: bool = True, color: bool | None = None) -> None:
    """Print on the stdout of a process of our own; click by itself writes UTF-8 where ASCII is asked for.
    `CannotWriteError` if there is no room; a reader that has gone is left to click.
    """
    import click

    try:
        click.echo(text, file=sys.stdout, nl=nl, color=color)
    except BrokenPipeError:
        raise
    except OSError as error:
        silence(sys.stdout)
        raise CannotWriteError(f"can't write to stdout: {error.strerror}") from None


def silence(stream: Any) -> None:
    """Write nothing to it any more: what its buffer still holds would make the interpreter end with status 120."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def note(text: str) -> None:
    """Print one line of poolscope on stderr."""
    print_text(page([f"poolscope: {text}"]))


def width() -> int:
    """The width to draw for: the COLUMNS variable, else the terminal's, else `WIDTH`."""
    if os.environ.get("COLUMNS", "").isdigit() and int(os.environ["COLUMNS"]) > 0:
        return int(os.environ["COLUMNS"])
    for stream in (sys.__stderr__, sys.__stdout__):
        try:
            if stream is not None:
                return os.get_terminal_size(stream.fileno()).columns or WIDTH
        except (OSError, ValueError):
            continue
    return WIDTH


def colored(wanted: bool, stream: object = None) -> bool:
    """Whether to use colours: wanted, not forbidden by NO_COLOR, and a terminal is reading."""
    if not wanted or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    target = sys.__stderr__ if stream is None else stream
    try:
        return bool(target.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False
