"""Signals that end a process: the recording comes first, and nothing cuts it short.

A Python handler runs when the main thread comes back to the interpreter. A semaphore of multiprocessing's may keep
it away for ever: when a signal and a wake-up come together, as `Pool.terminate()` sends them, glibc waits on and
Python never hears of the signal. So the heartbeat of a worker of multiprocessing's wakes it out of such a wait.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from _thread import allocate_lock, get_ident
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from poolscope.libraries.wrapper import getframe

PATIENCE: Final = 10.0
"""Seconds that a thread waits for another thread's last write."""
WAKE_EVERY: Final = 0.25
"""Seconds after which a wait for a semaphore is looked at again."""
_DEADLY: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_WORKERS: Final = ("multiprocessing/popen_fork.py", "multiprocessing/forkserver.py")
_WAITS: Final = ("multiprocessing/synchronize.py", "multiprocessing/queues.py")


class Once:
    """An action that one thread performs once, while the others wait for its end."""

    def __init__(self) -> None:
        self.begun = False
        self._claim = allocate_lock()
        self._not_over = allocate_lock()
        self._not_over.acquire()
        self._thread: int | None = None

    def __repr__(self) -> str:
        return f"<Once {'begun' if self.begun else 'not begun'}>"

    @contextmanager
    def claimed(self) -> Iterator[bool]:
        """Yields True to the first thread; False to others, after its end, and at once to the first thread again."""
        if not self._claim.acquire(blocking=False):
            if self._thread != get_ident() and self._not_over.acquire(timeout=PATIENCE):
                self._not_over.release()
            yield False
            return
        self._thread = get_ident()
        self.begun = True
        try:
            yield True
        finally:
            self._not_over.release()


@contextmanager
def undisturbed() -> Iterator[list[int]]:
    """Signals that come in the block wait; yields a list of them. Without effect outside of the main thread."""
    waiting: list[int] = []
    before: dict[int, Any] = {}

    def wait(number: int, _: Any) -> None:
        waiting.append(number)

    try:
        try:
            with _blocked():
                for number in map(int, signal.valid_signals()):
                    handler = signal.getsignal(number)
                    if callable(handler) or (handler is signal.SIG_DFL and number in _DEADLY):
                        before[number] = handler
                        signal.signal(number, wait)
        except ValueError:
            before.clear()
        yield waiting
    finally:
        with _blocked():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _blocked() -> Iterator[None]:
    """Signals to this thread wait in the block. A handler may still run here, and raise, if another thread takes its signal."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def finish_at_exit(finish: Callable[[], list[int]]) -> None:
    """Finish, whenever Ctrl-C comes, and let the delayed signals take effect."""
    try:
        waiting = finish()
    except KeyboardInterrupt:  # before signals wait, or when they no longer do
        waiting = [*finish(), signal.SIGINT]
    catch_up(waiting)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Let garbage of the program be collected, with its warnings, where that would happen without us."""
    collecting, before = gc.isenabled(), gc.get_count()[0]
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            # Objects that poolscope keeps must not make the collector run any sooner.
            first, *others = gc.get_threshold()
            if first:
                gc.set_threshold(first + max(0, gc.get_count()[0] - before), *others)
            gc.enable()


def catch_up(waiting: list[int]) -> None:
    """Let the delayed signals take effect."""
    for number in dict.fromkeys(waiting):
        if signal.getsignal(number) is signal.default_int_handler:
            die_of(number)  # a KeyboardInterrupt would find no program to interrupt
        else:
            signal.raise_signal(number)


def die_of(number: int) -> None:
    """End this process by the signal."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


class Termination:
    """Handles SIGTERM if the program does not: calls ``finish`` before the signal kills."""

    def __init__(self, finish: Callable[[int], None]) -> None:
        self._finish = finish
        self._main: int | None = None

    def __repr__(self) -> str:
        return f"<Termination{' with a heartbeat' if self.needs_heartbeat else ''}>"

    @property
    def needs_heartbeat(self) -> bool:
        """Whether `wake` must be called every `WAKE_EVERY` seconds."""
        return self._main is not None

    def start(self) -> None:
        """Handle it from now on."""
        self._main = None
        try:
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._terminated)
            if signal.getsignal(signal.SIGTERM) == self._terminated and _is_worker():
                self._wait_with_care()
        except ValueError:  # not in the main thread: the program is embedded in something else
            return

    def _wait_with_care(self) -> None:
        if signal.getsignal(signal.SIGURG) in (signal.SIG_DFL, _nothing):
            signal.signal(signal.SIGURG, _nothing)  # ignored by default, as ours ignores it
            self._main = get_ident()
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _terminated(self, number: int, _: Any) -> None:
        if os.getpid() != 1:
            signal.signal(number, _nothing)  # another one changes nothing
        self._finish(number)

    def wake(self) -> None:
        """Wake the main thread if it waits for a semaphore of multiprocessing's, which then looks for signals."""
        frame = None if self._main is None else sys._current_frames().get(self._main)
        if frame is not None and frame.f_code.co_filename.endswith(_WAITS):
            assert self._main is not None
            signal.pthread_kill(self._main, signal.SIGURG)


def _nothing(*_: Any) -> None:
    """A handler that does nothing."""


def _is_worker() -> bool:
    """Whether multiprocessing made this process: by a fork just now, or as a new interpreter."""
    if any("multiprocessing.spawn" in word or "multiprocessing.forkserver" in word for word in sys.orig_argv):
        return True
    frame = getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_filename.endswith(_WORKERS):
            return True
    return False
