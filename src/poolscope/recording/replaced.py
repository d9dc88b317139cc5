"""Replaces a file once its successor is complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from poolscope.recording.errors import CannotWriteError
from poolscope.reports.renderer import Write

READABLE: Final = 0o666
"""As the user's umask has it."""


@contextmanager
def replaced(path: str | None, otherwise: Write) -> Iterator[Write]:
    """A function that writes into ``path``, or ``otherwise`` if there is no path. A reader of ``path`` never sees
    half of it. Pipes and devices are written directly.
    """
    if path is None:
        yield otherwise
        return
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
                yield file.write
            return
        with _replacing(path) as write:
            yield write
    except OSError as error:
        raise CannotWriteError(f"can't write {path!r}: {error.strerror}") from None


@contextmanager
def _replacing(path: str) -> Iterator[Callable[[str], object]]:
    part = f"{path}.{os.getpid()}.part"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, READABLE)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            yield file.write
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
