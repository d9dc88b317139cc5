"""The folder with the sockets of watched processes, which only their user can open. The name of a socket begins with
the process id. A socket without a listener was left by a killed process.
"""

from __future__ import annotations

import os
import stat
import tempfile
from _socket import AF_UNIX, SOCK_STREAM, socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

ENDING: Final = ".sock"
LONGEST: Final = 100
"""Bytes of a path at most: what every system has room for in a unix address."""


class Place(NamedTuple):
    """A socket, and the process in its name."""

    path: str
    pid: int


def folders(user: int, root: str = "") -> Iterator[str]:
    """The folders in which a user's processes put their sockets, the best first; each below ``root``."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and user == os.geteuid() and not root:
        yield os.path.join(runtime, "poolscope")
    yield f"{root}/run/user/{user}/poolscope"
    # /tmp first: a service and its observer often have different TMPDIRs.
    for shared in dict.fromkeys(("/tmp", tempfile.gettempdir())):  # noqa: S108  (a folder of our own in it)
        yield f"{root}{shared}/poolscope-{user}"


def make_folder() -> str:
    """The folder for this process's socket, made if need be; OSError if none is usable."""
    trouble = OSError("there is no folder for its socket")
    for folder in folders(os.geteuid()):
        if len(os.fsencode(folder)) + 40 > LONGEST or not os.path.isdir(os.path.dirname(folder)):
            continue
        try:
            with suppress(FileExistsError):
                os.mkdir(folder, 0o700)
            if is_private(folder, os.geteuid()):
                return folder
            trouble = PermissionError(f"{folder} is not a folder that only its owner can open")
        except OSError as error:
            trouble = error
    raise trouble


def is_private(folder: str, user: int) -> bool:
    """Whether it is a real folder of the user, and nobody else can list or write it."""
    status = os.lstat(folder)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == user and not status.st_mode & 0o077


def sockets(user: int, root: str = "") -> list[Place]:
    """The sockets of a user's processes, even if no process listens any more."""
    found: dict[str, Place] = {}
    for folder in folders(user, root):
        with suppress(OSError):
            if is_private(folder, user):
                for name in os.listdir(folder):
                    number = name.partition("-")[0]
                    if name.endswith(ENDING) and number.isdecimal():
                        found.setdefault(name, Place(os.path.join(folder, name), int(number)))
    return sorted(found.values(), key=lambda place: place.pid)


def is_stale(path: str) -> bool:
    """Whether no process listens to a socket any more."""
    probe = socket(AF_UNIX, SOCK_STREAM)
    try:
        probe.setblocking(False)
        probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    finally:
        probe.close()
    return False


def remove_stale(folder: str) -> None:
    """Remove the sockets that killed processes left."""
    with suppress(OSError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if name.endswith(ENDING) and is_stale(path):
                with suppress(OSError):
                    os.unlink(path)
