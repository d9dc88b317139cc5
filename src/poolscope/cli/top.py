"""``poolscope top``: what the watched processes do now, on the terminal or as JSON."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from poolscope.cli.stops import leaving
from poolscope.look.client import CannotLookError, Watch
from poolscope.look.merge import to_json, together
from poolscope.recording.termination import die_of

MISSING: Final = "top needs Textual: pip install 'poolscope[top]', or use --json"
STEP: Final = 0.05
"""Seconds between two looks at the sockets."""


def show(pids: Sequence[int], note: Callable[[str], None]) -> None:
    """The screen, until the user leaves it; `CannotLookError` if there can be none."""
    check()
    run(Watch(pids), note)


def check() -> None:
    """`CannotLookError` where there can be no screen."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CannotLookError("top needs a terminal; for scripts: poolscope top --json")
    try:
        from poolscope.top.app import too_small
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise CannotLookError(MISSING) from None
    size = os.get_terminal_size(sys.stdout.fileno())
    message = too_small(size.columns, size.lines)
    if message is not None:
        raise CannotLookError(message)


def run(watch: Watch, note: Callable[[str], None]) -> None:
    """The screen of a watch."""
    from poolscope.top.app import Top

    end_without = partial(_end_without, sys.stdout.fileno())
    top = Top(watch, end_without)

    def leave() -> None:
        end_without()  # Textual would wait for ever for a terminal that is gone
        top.leave()

    try:
        with leaving(leave):
            top.run()
        for text in watch.read():
            note(text)
    finally:
        watch.close()


def _end_without(terminal: int) -> None:
    """Where SIGHUP is ignored, as under nohup, a terminal that closes ends nobody, and Textual reads its end for ever."""
    try:
        termios.tcgetattr(terminal)
    except termios.error:
        die_of(signal.SIGHUP)


def lines(
    pids: Sequence[int], every: float | None, say: Callable[[str], None], note: Callable[[str], None]
) -> None:
    """One line of JSON, or one ``every`` so many seconds until the processes have ended."""
    watch = Watch(pids)
    try:
        while True:
            _read(watch, note, until=lambda: watch.complete)
            if watch.looks():
                say(to_json(together(watch.looks())))
            if every is None or watch.over:
                break
            _wait(watch, note, every)
    finally:
        watch.close()
    if not watch.looks():
        raise CannotLookError("no process answered")


def _read(watch: Watch, note: Callable[[str], None], until: Callable[[], bool]) -> None:
    while True:
        for text in watch.read():
            note(text)
        if until():
            return
        time.sleep(STEP)


def _wait(watch: Watch, note: Callable[[str], None], seconds: float) -> None:
    """Wait until the time is over and a new look has come, or all processes have ended."""
    due, seen = time.monotonic() + seconds, watch.fresh
    _read(watch, note, until=lambda: watch.over or (time.monotonic() >= due and watch.fresh > seen))
