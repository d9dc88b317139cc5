"""A file that no other process writes: the requested file, or one beside it.

The writer holds a lock (`flock`) on the file while it lives; the kernel releases it however the process ends. The
lock belongs to the file, not to a process number, so other containers on the same kernel see it. Where a file system
has no locks, a recording without an end counts as still being written.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from poolscope.recording.stderr import unharmed, write_patiently

_READABLE: Final = 0o666
"""As the user's umask has it."""
_HIGH: Final = 64
"""Our descriptors begin here, so that the program's get the same numbers as without us."""
_MOST: Final = 10_000
_TRIES: Final = 3
_PAUSE: Final = 0.02
"""Seconds between tries: a reader takes the lock for a moment."""
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY


class OwnFile:
    """An open file, written at its end. It survives a program that closes all descriptors (a daemon)."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._kept = _moved_up(descriptor)
        status = os.fstat(self._kept)
        self._identity = (status.st_dev, status.st_ino)
        self.regular = stat.S_ISREG(status.st_mode)
        """Not a pipe or a terminal: those are opened once, and their reader may be slow."""

    def __repr__(self) -> str:
        return f"<OwnFile {self.path}>"

    def write(self, data: bytes) -> None:
        """Append all of ``data``; OSError if that is impossible."""
        with self._borrowed() as descriptor:
            if not self.regular:
                write_patiently(descriptor, data)
                return
            with unharmed():
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]

    def size(self) -> int:
        """Its length; OSError if that cannot be known."""
        with self._borrowed() as descriptor:
            return os.fstat(descriptor).st_size

    def cut(self, size: int) -> None:
        """Cut the file back to ``size``."""
        with self._borrowed() as descriptor:
            os.ftruncate(descriptor, size)

    def empty(self) -> None:
        """Start again: what follows replaces what was written. OSError if that is impossible."""
        if self.regular:
            self.cut(0)

    def release(self) -> None:
        """Let others replace the file: it is complete."""
        if self.regular:
            with suppress(OSError), self._borrowed() as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def leave(self) -> None:
        """In a forked child: a reader of the parent's pipe waits until every process has closed it."""
        if not self.regular and self._is_ours(self._kept):
            os.close(self._kept)

    @contextmanager
    def _borrowed(self) -> Iterator[int]:
        descriptor = self._private()
        try:
            yield descriptor
        finally:
            if descriptor != self._kept:
                os.close(descriptor)

    def _private(self) -> int:
        """A descriptor that surely belongs to this file: the program may have reused our number."""
        try:
            descriptor = os.dup(self._kept)
        except OSError as error:
            if error.errno == errno.EMFILE and self._is_ours(self._kept):
                return self._kept
        else:
            if self._is_ours(descriptor):
                return descriptor
            os.close(descriptor)
        if not self.regular:
            raise OSError(errno.EBADF, "the program has closed it")
        reopened = os.open(self.path, _FLAGS | os.O_NOFOLLOW)
        if not self._is_ours(reopened):
            os.close(reopened)
            raise OSError(errno.ESTALE, "the program has closed it, and another file has its name")
        _lock(reopened)
        self._kept = _moved_up(reopened)
        return os.dup(self._kept)

    def _is_ours(self, descriptor: int) -> bool:
        try:
            status = os.fstat(descriptor)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity


def _moved_up(descriptor: int) -> int:
    try:
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # the limit is lower
        return descriptor
    os.close(descriptor)
    return high


def create(path: str, mode: int = 0o600) -> OwnFile:
    """A new file; OSError if the name exists."""
    descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    for _ in range(_TRIES):
        if _lock(descriptor) is not False:
            return OwnFile(path, descriptor)
        time.sleep(_PAUSE)
    # Another process with the same name locked it between our two steps, so it belongs to that process.
    os.close(descriptor)
    raise FileExistsError(errno.EEXIST, "another process took it at the same moment", path)


def expanded(asked: str) -> str:
    """The name with ``%p`` replaced by the number of this process."""
    return asked.replace("%p", str(os.getpid()))


def claim(asked: str, *, wait_for_reader: bool = False) -> OwnFile:
    """The file ``asked`` for, emptied, or a file beside it if another process is writing it. ``%p`` is our process
    id. OSError if it cannot be written.
    """
    path = expanded(asked)
    if path == asked:
        own = _claim(path, wait_for_reader=wait_for_reader)
        if own is not None:
            return own
    else:
        # A process number repeats between containers: here nothing is replaced, whatever wrote it.
        with suppress(FileExistsError):
            return create(path, _READABLE)
    root, ending = os.path.splitext(path)
    for number in itertools.count(2):
        with suppress(FileExistsError):
            return create(f"{root}.{number}{ending}", _READABLE)
        if number >= _MOST:
            break
    raise OSError(errno.EEXIST, f"there are {_MOST:,} such files already")


def _claim(path: str, *, wait_for_reader: bool) -> OwnFile | None:
    """The file of exactly that name, emptied; None if another process is writing it."""
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            return create(path, _READABLE)
        descriptor = _open(path, wait_for_reader=wait_for_reader)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return OwnFile(path, descriptor)
        locked = _lock(descriptor)
        # A reader takes the lock for a moment; and the file may have been moved away meanwhile.
        if locked is False or not _is_at(path, descriptor):
            os.close(descriptor)
            time.sleep(_PAUSE)
            continue
        if locked is None and not has_end(path):
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        return OwnFile(path, descriptor)
    return None


def _open(path: str, *, wait_for_reader: bool) -> int:
    try:
        return os.open(path, _FLAGS | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        if not wait_for_reader:
            raise OSError(errno.ENXIO, "nobody reads it") from None
    descriptor = os.open(path, _FLAGS)  # a FIFO: as for any program, until a reader comes
    os.set_blocking(descriptor, False)
    return descriptor


def _lock(descriptor: int) -> bool | None:
    """Whether we have the lock now; None if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def is_live(path: str) -> bool | None:
    """Whether a process holds the file at ``path``; None where that cannot be known."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return is_held(descriptor)
    finally:
        os.close(descriptor)


def is_held(descriptor: int) -> bool | None:
    """Whether another process holds the lock; None if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def has_end(path: str) -> bool:
    """Whether the recording at ``path`` ends as a finished one does."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 65_536))
            lines = file.read().splitlines()
    except OSError:
        return False
    return bool(lines) and lines[-1].startswith(b'{"type":"summary"')
