"""The looking side: the sockets of the chosen processes, and their newest looks. A process that cannot be looked into
is reported in one line; the processes go on, whatever happens here.
"""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from poolscope.look.frame import LONGEST, Look, from_json
from poolscope.look.sockets import Place, is_stale, sockets
from poolscope.recording.errors import CommandError

PATIENCE: Final = 5.0
"""Seconds in which a process should have answered."""
LOOK_FOR_NEW: Final = 2.0
"""Seconds between two searches for new processes."""


class CannotLookError(CommandError):
    """Nothing can be looked into."""


class Process:
    """One process that is looked into."""

    def __init__(self, place: Place) -> None:
        self.pid = place.pid
        self.path = place.path
        self.look: Look | None = None
        self.fresh = 0
        """The number of looks so far."""
        self.ended = False
        self.silent = False
        """It did not answer in time, and has not since."""
        self._since = time.monotonic()
        self._received = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.setblocking(False)
        try:
            self._socket.connect(place.path)
        except OSError:
            self._socket.close()
            raise

    def __repr__(self) -> str:
        return f"<Process {self.pid}, {self.fresh} looks{', ended' if self.ended else ''}>"

    def read(self) -> str | None:
        """Read what came; returns a line if something is odd."""
        if self.ended:
            return None
        try:
            while piece := self._socket.recv(262_144):
                self._received += piece
                if len(self._received) > 2 * LONGEST:
                    return self._end("sends data that is not poolscope's")
                self._take_whole_lines()
        except BlockingIOError:
            return self._patience()
        except (OSError, ValueError) as error:
            return self._end(f"cannot be looked into: {error}")
        if not os.path.exists(self.path):
            return self._end("has ended")
        return self._end("was killed" if is_stale(self.path) else "has hung up")

    def _take_whole_lines(self) -> None:
        *lines, self._received = self._received.split(b"\n")
        if lines:
            self.look = from_json(lines[-1])
            self.fresh += 1
            self.silent = False
            self._since = time.monotonic()

    def _patience(self) -> str | None:
        wait = PATIENCE if self.look is None else PATIENCE + self.look.next
        if self.silent or time.monotonic() - self._since < wait:
            return None
        self.silent = True
        return f"process {self.pid} does not answer: it is stopped, or has forked and made no request since"

    def _end(self, how: str) -> str:
        self.close()
        self.ended = True
        with suppress(OSError):
            if is_stale(self.path):
                os.unlink(self.path)
        return f"process {self.pid} {how}"

    def close(self) -> None:
        """Stop looking."""
        self._socket.close()


class Watch:
    """The named processes and their children, or all of this user's."""

    def __init__(self, pids: Sequence[int]) -> None:
        """`CannotLookError` if a named process cannot be looked into."""
        self._asked = list(pids)
        self._processes: dict[str, Process] = {}
        self._known: set[str] = set()
        self._searched = 0.0
        self._notes: list[str] = []
        for pid in pids:
            _expect(pid)
        self._search()
        if not self._processes:
            raise CannotLookError(
                self._notes.pop()
                if self._notes
                else "no process is recorded live: start one with `poolscope run --live`, or with POOLSCOPE=--live"
            )

    def __repr__(self) -> str:
        return f"<Watch of {list(self._processes.values())}>"

    @property
    def over(self) -> bool:
        """Whether all watched processes have ended."""
        return all(process.ended for process in self._shown())

    @property
    def complete(self) -> bool:
        """Whether all have answered, or will not."""
        return all(process.look or process.ended or process.silent for process in self._processes.values())

    def read(self) -> list[str]:
        """Take in the looks that arrived; returns lines about anything odd."""
        if time.monotonic() - self._searched > LOOK_FOR_NEW:
            self._search()
        for process in list(self._processes.values()):
            note = process.read()
            if note is not None and process in self._shown():
                self._notes.append(note)
        notes, self._notes = self._notes, []
        return notes

    def looks(self) -> list[Look]:
        """The newest look at each running process; if all have ended, the last looks at those."""
        shown = self._shown()
        going_on = [process for process in shown if not process.ended] or shown
        by_pid: dict[int, Look] = {}
        for look in (process.look for process in going_on if process.look is not None):
            # A process may have two recordings, its own and an attached one: the longer one has seen more.
            known = by_pid.get(look.pid)
            if known is None or known.up < look.up:
                by_pid[look.pid] = look
        return list(by_pid.values())

    @property
    def fresh(self) -> int:
        """The number of looks so far."""
        return sum(process.fresh for process in self._processes.values())

    def close(self) -> None:
        """Stop looking."""
        for process in self._processes.values():
            process.close()

    def _shown(self) -> list[Process]:
        processes = list(self._processes.values())
        if not self._asked:
            return processes
        parents = {process.pid: process.look.parent for process in processes if process.look is not None}
        return [process for process in processes if self._belongs(process.pid, parents)]

    def _belongs(self, pid: int | None, parents: dict[int, int | None]) -> bool:
        seen: set[int] = set()
        while pid is not None and pid not in seen:
            if pid in self._asked:
                return True
            seen.add(pid)
            pid = parents.get(pid)
        return False

    def _search(self) -> None:
        self._searched = time.monotonic()
        for place in _places(self._asked):
            if place.path in self._known:
                continue
            self._known.add(place.path)
            try:
                self._processes[place.path] = Process(place)
            except ConnectionRefusedError:
                self._notes.append(_removed(place))
            except OSError as error:
                self._notes.append(f"process {place.pid} cannot be looked into: {error.strerror}")


def _removed(place: Place) -> str:
    with suppress(OSError):
        os.unlink(place.path)
    return f"process {place.pid} was killed and left a socket behind, which is removed now"


def _places(pids: Iterable[int]) -> list[Place]:
    users = {user for pid in pids if (user := owner_of(pid)) is not None} or {os.geteuid()}
    found = {place.path: place for user in users for place in sockets(user)}
    for pid in pids:
        if not any(place.pid == pid for place in found.values()):
            found |= {place.path: place for place in _in_its_container(pid)}
    return list(found.values())


def _in_its_container(pid: int) -> list[Place]:
    """The socket of a process in another file system, perhaps with another process id there."""
    user = owner_of(pid)
    if user is None:
        return []
    inner = pid
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as status:
        inner = next((int(line.split()[-1]) for line in status if line.startswith("NSpid:")), pid)
    return [Place(place.path, pid) for place in sockets(user, f"/proc/{pid}/root") if place.pid == inner]


def owner_of(pid: int) -> int | None:
    """The user that a process belongs to; None where there is none."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return os.geteuid() if _is_alive(pid) else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _expect(pid: int) -> None:
    """Raise the reason why a named process cannot be looked into."""
    user = owner_of(pid)
    if user is None:
        for place in sockets(os.geteuid()):
            if place.pid == pid and is_stale(place.path):
                raise CannotLookError(_removed(place))
        raise CannotLookError(f"there is no process {pid}")
    if os.geteuid() not in (0, user):
        raise CannotLookError(
            f"process {pid} belongs to {name_of(user)}: only they and root can look into it"
        )
    if not any(place.pid == pid for place in _places([pid])):
        raise CannotLookError(
            f"process {pid} is not recorded live: it was started without --live, or with another XDG_RUNTIME_DIR"
        )


def name_of(user: int) -> str:
    """The name of a user."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
