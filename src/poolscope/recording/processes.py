"""Where this process forks, starts others, replaces itself or vanishes: what the recording must know of.

``os._exit`` is how multiprocessing children and many pre-fork workers end: no atexit handler runs there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, Protocol

from poolscope.libraries.point import Point
from poolscope.libraries.weaver import Weaver
from poolscope.recording.child_env import FOLLOW, pth_is_installed

_HELPERS: Final = ("multiprocessing.resource_tracker", "multiprocessing.semaphore_tracker")
"""Python processes that the standard library starts for itself; no program runs in them."""


class Recording(Protocol):
    """Gets the news."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def before_exit(self, status: int) -> None: ...
    def before_exec(self) -> None: ...
    def child_not_followed(self) -> None: ...


_recording: Recording | None = None
_fork_hooks_are_in = False
_weaver = Weaver()


def watch(recording: Recording) -> None:
    """Report to ``recording`` from now on."""
    global _recording, _fork_hooks_are_in
    _recording = recording
    if not _fork_hooks_are_in and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
        _fork_hooks_are_in = True
    _weaver.weave(_POINTS)
    import _posixsubprocess

    _weaver.weave([_started_by(_posixsubprocess, "fork_exec")])
    subprocess = sys.modules.get("subprocess")
    if subprocess is not None:
        _weaver.weave([_started_by(subprocess, "_fork_exec")])


def unwatch() -> None:
    """Report no more."""
    global _recording
    _recording = None
    _weaver.restore()


def _before_fork() -> None:
    if _recording is not None:
        _recording.before_fork()


def _after_fork_in_parent() -> None:
    if _recording is not None:
        _recording.after_fork_in_parent()


def exits(status: Any) -> None:
    """Nothing of this process runs after it, no atexit handler either."""
    if _recording is not None and isinstance(status, int):
        _recording.before_exit(status)


def executes() -> None:
    """Another program takes this process over."""
    if _recording is not None:
        _recording.before_exec()


def spawned(path: Any, argv: Sequence[Any], env: Any) -> None:
    """`os` started a program."""
    # From 3.13 on None is the environment of this process.
    names = None if env is None else [f"{os.fsdecode(name)}=" for name in env]
    started([path], argv, names)


def started(executables: Sequence[Any], argv: Sequence[Any], env: Sequence[Any] | None) -> None:
    """A program was started, perhaps a Python that will not be followed."""
    if _recording is None or not _runs_python(executables):
        return
    words = [os.fsdecode(word) for word in argv]
    if any(helper in word for word in words for helper in _HELPERS):
        return
    if env is None:
        reached = FOLLOW in os.environ
    else:
        reached = any(os.fsdecode(entry).startswith(f"{FOLLOW}=") for entry in env)
    if not reached or _is_isolated(words[1:]):
        _recording.child_not_followed()


def _started_by(module: ModuleType, name: str) -> Point:
    # The order of arguments since Python 3.2.
    order = ("argv", "executables", "close_fds", "pass_fds", "cwd", "env")
    return Point(module, name, after=started, takes=order)


_POINTS: Final = (
    Point(os, "_exit", before=exits, takes=("status",)),
    *(
        Point(os, name, before=executes) for name in ("execv", "execve")
    ),  # every other exec function ends there
    *(
        Point(os, name, after=spawned, takes=("path", "argv", "env"))
        for name in ("posix_spawn", "posix_spawnp")
    ),
)


def _is_isolated(words: Sequence[str]) -> bool:
    """Whether an option keeps the interpreter from loading poolscope at its start.

    That is poolscope.pth in its site (-S), or else our sitecustomize on PYTHONPATH (-I, -E, -S).
    """
    unreached = {"S"} if pth_is_installed() else {"I", "E", "S"}
    for word in words:
        if not word.startswith("-") or word in ("-", "-c", "-m", "--") or word.startswith(("-c", "-m", "--")):
            return False
        if word[:2] in ("-X", "-W"):
            continue
        if set(word) & unreached:
            return True
    return False


def _runs_python(executables: Sequence[Any]) -> bool:
    """Whether the first of these that exists is this interpreter, or a script that names it."""
    for candidate in executables:
        path = os.fsdecode(candidate)
        if os.path.exists(path):
            return _is_interpreter(path) or _is_interpreter(_named_in_first_line(path))
    return False


def _is_interpreter(path: str) -> bool:
    return bool(path and sys.executable) and os.path.realpath(path) == os.path.realpath(sys.executable)


def _named_in_first_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:
        return ""
    if not first.startswith(b"#!"):
        return ""
    words = os.fsdecode(first[2:]).split()
    if words and os.path.basename(words[0]) == "env":
        import shutil

        return shutil.which(words[-1]) or ""
    return words[0] if words else ""
