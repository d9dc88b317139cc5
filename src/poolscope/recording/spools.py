"""Spools: the files that children write, and how they are merged.

The folder of a run has an unguessable name, inside a folder that only its owner can list. So only root and
children that have become another user can write into root's folder.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from poolscope.recording.line_file import LineFile
from poolscope.recording.our_imports import standard_library_first
from poolscope.recording.own_file import OwnFile, create, is_held

if TYPE_CHECKING:
    from poolscope import records
    from poolscope.reports.overview import Overview

ENDING: Final = ".spool"
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPOOL: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LISTED_BY_US_ALONE: Final = 0o711
_WRITTEN_BY_WHO_KNOWS_IT: Final = 0o1777


def beside(save: str) -> str:
    """The folder for the spools of the run that writes ``save``: after a kill, everything is still in one place."""
    return save + ".children"


def place_for(save: str | None) -> str:
    """The directory for this run's spools, beside the saved file if there may be one."""
    secret = os.urandom(16).hex()
    home = None if save is None else beside(save)
    if home is not None:
        with suppress(OSError):
            if not _is_ours(os.lstat(home)):
                home = None
    if home is None:
        home = os.path.join(_temporary(), f"poolscope-{os.getpid()}-{os.urandom(6).hex()}")
    return os.path.join(home, secret)


def _temporary() -> str:
    """The folder for temporary files that `tempfile` would choose; to load that takes longer than the rest of a start."""
    named = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    folder = os.path.abspath(next(filter(None, named), "/tmp"))  # noqa: S108  (tempfile's own first choice)
    probe = os.path.join(folder, f"poolscope-{os.urandom(16).hex()}")
    try:
        descriptor = os.open(
            probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            os.write(descriptor, b"room?")
        finally:
            os.close(descriptor)
            os.unlink(probe)
    except OSError:
        import tempfile

        return tempfile.gettempdir()
    return folder


def _is_ours(status: os.stat_result, owner: int | None = None) -> bool:
    """Whether we own the folder, and nobody else can plant a file in it."""
    owned = status.st_uid == (os.geteuid() if owner is None else owner)
    return stat.S_ISDIR(status.st_mode) and owned and not status.st_mode & 0o022


class Spools:
    """The directory of one run's children. Only root makes it before a child has something to write."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._home, self._run = os.path.split(directory)
        self._merged: set[str] = set()

    def __repr__(self) -> str:
        return f"<Spools {self.directory}>"

    def prepare(self) -> None:
        """Remove the remains of an earlier run with the same file; as root, create the folder."""
        remove(self._home)
        if os.geteuid() == 0:
            with suppress(OSError):
                make(self.directory)

    def file(self, started_at: float, pid: int) -> LineFile:
        """The spool of the process ``pid``, made with its first line."""
        path = os.path.join(self.directory, f"{int(started_at * 1e9):020d}-{pid:010d}{ENDING}")

        def open_file() -> OwnFile:
            try:
                return create(path)
            except FileNotFoundError:
                make(self.directory)
                return create(path)

        return LineFile(path, open_file)

    def read(self, overview: Overview) -> None:
        """Read every spool as far as it is written; an incomplete or foreign line ends that spool."""
        for spool in open_spools(self._home, [], only=self._run):
            for _ in self._drawn(spool, overview, goes_on=is_written(spool)):
                pass

    def merge(self, overview: Overview, into: LineFile | None) -> list[str]:
        """Read every spool, and append its records to the saved file (if any) unless its child still runs. Returns
        why some could not be read.
        """
        failures: list[str] = []
        for spool in open_spools(self._home, failures, only=self._run):
            goes_on = is_written(spool)
            lines = self._drawn(spool, overview, goes_on=goes_on)
            if into is None or goes_on:
                for _ in lines:
                    pass
            # If the disk is full, the spool is the only copy.
            if into is None or (not goes_on and into.add_whole(lines)):
                self._merged.add(os.path.basename(spool.name))
        return failures

    def _drawn(self, spool: IO[bytes], overview: Overview, *, goes_on: bool) -> Iterator[str]:
        """The lines of a spool, each added to the overview when it is taken."""
        for line, record in _readable(spool):
            overview.add(record)
            if goes_on:
                overview.running.add(record.pid)
            yield line

    @property
    def is_empty(self) -> bool:
        """Whether no child has written anything."""
        try:
            return not os.listdir(self.directory)
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def records(self) -> Iterator[records.Record]:
        """The children's records so far, if their spools still exist."""
        for spool in open_spools(self._home, [], only=self._run):
            yield from (record for _, record in _readable(spool))

    def remove(self) -> None:
        """Delete the merged spools, and the directories if they are empty then."""
        remove(self._home, self._merged, only=self._run)


def is_written(spool: IO[bytes]) -> bool:
    """Whether its writer is known to be alive."""
    return is_held(spool.fileno()) is True


def make(directory: str) -> None:
    """Create a run's folder and the folder around it if need be; OSError if another user owns one."""
    shared = os.geteuid() == 0
    for path, mode in (
        (os.path.dirname(directory), _LISTED_BY_US_ALONE),
        (directory, _WRITTEN_BY_WHO_KNOWS_IT),
    ):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if path != directory and not _is_ours(os.lstat(path)):
                raise PermissionError(errno.EPERM, f"{path} belongs to another user") from None
            continue
        if shared:
            os.chmod(path, mode)


@contextmanager
def _folders(
    home: str, failures: list[str], *, only: str | None = None, owner: int | None = None
) -> Iterator[list[tuple[int, str]]]:
    """(descriptor, name) of the runs' folders in ``home``; nothing if that is a link or belongs to another user."""
    descriptors: list[int] = []

    def opened(name: str, above: int | None = None) -> int:
        descriptors.append(os.open(name, _FOLDER, dir_fd=above))
        return descriptors[-1]

    found: list[tuple[int, str]] = []
    try:
        above = opened(home)
        status = os.fstat(above)
        for name in sorted(os.listdir(above)) if _is_ours(status, owner) else ():
            if only in (None, name):
                with suppress(OSError):
                    folder = opened(name, above)
                    if os.fstat(folder).st_uid == status.st_uid:
                        found.append((folder, name))
    except PermissionError as error:
        # Root that has become another user cannot list the folder any more; the name is enough.
        with suppress(OSError):
            if only is not None:
                found.append((opened(os.path.join(home, only)), only))
        if not found:
            failures.append(f"can't read {home}: {error.strerror}")
    except OSError:  # no child has written anything
        pass
    try:
        yield found
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def open_spools(
    home: str, failures: list[str], *, only: str | None = None, owner: int | None = None
) -> Iterator[IO[bytes]]:
    """The spools in ``home``, open for reading, in the order of (start, pid): their names begin with that."""
    with _folders(home, failures, only=only, owner=owner) as folders:
        spools = sorted(
            (name, folder) for folder, _ in folders for name in os.listdir(folder) if name.endswith(ENDING)
        )
        for name, folder in spools:
            try:
                descriptor = os.open(name, _SPOOL, dir_fd=folder)
            except OSError as error:
                failures.append(f"can't read {name}, which a child wrote: {error.strerror}")
                continue
            with open(name, "rb", opener=lambda *_, descriptor=descriptor: descriptor) as spool:
                if _is_a_spool(os.fstat(descriptor), os.fstat(folder)):
                    yield spool
                else:
                    failures.append(f"{name} was left out: it was not written by a child of this run")


def _is_a_spool(status: os.stat_result, folder: os.stat_result) -> bool:
    # Children that have become another user can still write into root's folder, because they know its name.
    expected = folder.st_uid in (status.st_uid, 0)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and expected


def remove(home: str, names: Collection[str] | None = None, *, only: str | None = None) -> None:
    """Delete the spools in ``home``, all or the named ones, and the folders if they are empty then. Links are not
    followed.
    """
    with _folders(home, [], only=only) as folders:
        for folder, name in folders:
            there = [spool for spool in os.listdir(folder) if spool.endswith(ENDING)]
            for spool in there if names is None else set(there) & set(names):
                with suppress(OSError):
                    os.unlink(spool, dir_fd=folder)
            with suppress(OSError):
                os.rmdir(os.path.join(home, name))
    if folders:
        with suppress(OSError):
            os.rmdir(home)


def _readable(spool: IO[bytes]) -> Iterator[tuple[str, records.Record]]:
    with standard_library_first():
        from poolscope.recording.reader import lines_in, parse

    try:
        for _, line in lines_in(spool):
            yield line, parse(line)
    except (OSError, ValueError):
        return


def written(path: str) -> Iterator[records.Record]:
    """The records in one of poolscope's files, up to the first incomplete line."""
    with open(path, "rb") as file:
        yield from (record for _, record in _readable(file))


def overview_of(file: LineFile | None) -> Overview:
    """The overview of what a child itself has written so far."""
    from poolscope.reports.overview import Overview

    overview = Overview()
    if file is not None:
        file.flush()
        with suppress(OSError), open(file.path, "rb") as spool:
            for _, record in _readable(spool):
                overview.add(record)
    return overview


def has_spool(directory: str) -> bool:
    """Whether a process with our id has written a file: its records would be mixed up with ours."""
    try:
        return any(name.endswith(f"-{os.getpid():010d}{ENDING}") for name in os.listdir(directory))
    except OSError:
        return False
