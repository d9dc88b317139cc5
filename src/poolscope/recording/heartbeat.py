"""The thread that drains and flushes once a second, so that a killed program's file is nearly complete.

It is not a `threading.Thread`: the program must not find it in `threading.enumerate()`, gevent must not
turn it into a greenlet, and the interpreter must not wait for it. It takes no signal, and it is gone
while the process forks, because Python warns of forks in a process of several threads.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from poolscope.facts import now
from poolscope.genuine import allocate_lock, get_native_id, sleep, start_new_thread

STOP_TIMEOUT: Final = 5.0
GONE_TIMEOUT: Final = 1.0
"""Seconds until the system has forgotten a thread that is over, even on a busy machine."""
_COUNTED_AFTERWARDS: Final = sys.version_info >= (3, 13)


class Heartbeat:
    """Calls ``beat`` every ``interval`` seconds, and at once when nudged, until stopped."""

    def __init__(self, beat: Callable[[], None], interval: float = 1.0) -> None:
        self._beat = beat
        self.interval = interval
        self.reset()

    def reset(self) -> None:
        """Forget the thread, which a forked child does not have."""
        self.running = False
        self._stopping = False
        self._native_id = 0
        self._wake = allocate_lock()
        self._done = allocate_lock()
        self._wake.acquire()
        self._done.acquire()

    def start(self) -> None:
        """Start the thread, unless it is running or the system has no thread to spare."""
        if self.running:
            return
        self.reset()
        # The new thread inherits the mask: a signal must find the program's own threads, as without us.
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            start_new_thread(self._run, (self._wake, self._done))
            self.running = True
        except RuntimeError:
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def nudge(self) -> None:
        """Make it beat now. Safe in a signal handler."""
        try:
            self._wake.release()
        except RuntimeError:  # nudged already
            return

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """End the thread and wait until the system has forgotten it, or ``timeout`` seconds."""
        if not self.running:
            return
        self._stopping = True
        self.nudge()
        self.running = False
        if self._done.acquire(timeout=timeout):
            _wait_until_gone(self._native_id)

    def _run(self, wake: object, done: object) -> None:
        self._native_id = get_native_id()
        deadline = now() + self.interval
        try:
            while True:
                self._wake.acquire(timeout=max(0.0, deadline - now()))
                if self._stopping or self._wake is not wake:
                    return
                self._beat()
                deadline = now() + self.interval
        finally:
            done.release()  # type: ignore[attr-defined]


def may_start_after_fork() -> bool:
    """Whether the thread may start right after a fork without a warning from Python.

    Python 3.13 and later count the threads after this, so there it needs one of the program's own.
    """
    if not _COUNTED_AFTERWARDS:
        return True
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return False


def _wait_until_gone(native_id: int) -> None:
    path = f"/proc/self/task/{native_id}"
    deadline = now() + GONE_TIMEOUT
    while os.path.exists(path) and now() < deadline:
        sleep(0.0001)
