"""Signals that end a command: it takes away what it has put somewhere, and dies of the signal, as programs do."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import clear_frames
from typing import Final

DEADLY: Final = (signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def dies_of_signals() -> Iterator[None]:
    """In the block a deadly signal is an exception, as Ctrl-C is; the second one kills at once.

    A program that calls commands itself, perhaps in a thread, keeps its handlers.
    """
    ours = [number for number in DEADLY if signal.getsignal(number) == signal.SIG_DFL]  # not under nohup
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, _stop)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        _let_go(interrupt)
        _die_of(signal.SIGINT)
    except Stopped as stopped:
        _let_go(stopped)
        _die_of(stopped.number)
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def leaving(leave: Callable[[], None]) -> Iterator[None]:
    """In the block a deadly signal calls ``leave``, and the exception comes at its end; the second one kills at once.

    An event loop keeps an exception to itself that a handler raises while a task runs.
    """
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        came.append(number)
        leave()

    ours = [number for number in DEADLY if signal.getsignal(number) is _stop]
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, _stop)
        if came:
            raise Stopped(came[0])


def _stop(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(number)


def _let_go(error: BaseException | None) -> None:
    """End also the contexts that had begun when the signal came, but not yet their blocks: only frames hold those."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


def _die_of(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
