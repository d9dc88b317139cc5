"""``poolscope attach``: a running process is recorded for a while; then a report, a file, or meanwhile the screen."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Self

from poolscope.attach.outside import Visit
from poolscope.cli.stops import DEADLY, Stopped
from poolscope.look.client import CannotLookError, Watch
from poolscope.recording.errors import CannotWriteError
from poolscope.recording.line_file import LineFile
from poolscope.recording.own_file import claim
from poolscope.recording.stderr import say, width
from poolscope.records import Record, Summary
from poolscope.reports.overview import Overview
from poolscope.reports.renderer import Format, Look, renderer

Note = Callable[[str], None]
SOCKET_WITHIN: Final = 10.0
"""Seconds that the attached process has to open its socket for looks."""


def report(
    pid: int, seconds: float, wait: float, save: str | None, format_: Format, color: bool, note: Note
) -> None:
    """Attach, and show what was seen."""
    visit = Visit(pid, seconds, wait, live=False)
    file = None if save is None else _claimed(save, visit)
    stops = _Stops(visit)
    try:
        with stops:
            _show(visit, file, format_, color, note)
    except CannotWriteError:
        _end_by(stops)  # a terminal that closes sends the signal, and takes no more text
        raise
    if not visit.complete:
        note(
            f"process {pid} did not send the rest: it is stopped, or too busy"
            if visit.silent
            else f"process {pid} ended before its time was over"
        )
    _end_by(stops)
    if file is not None and file.error is not None:
        raise CannotWriteError(f"--save {file.path!r} is not complete: {file.error}")


def _end_by(stops: _Stops) -> None:
    if stops.deadly is not None:
        raise Stopped(stops.deadly) from None


def _show(visit: Visit, file: LineFile | None, format_: Format, color: bool, note: Note) -> None:
    rendering = renderer(
        format_, lambda text: say(text, nl=False, color=color), Look(columns=width(), color=color)
    )
    for record in _with_findings(visit.records()):
        if file is not None:
            file.add(record)
            file.flush()
        rendering.add(record)
    visit.close()
    if file is None or file.error is not None:
        rendering.finish()
    else:
        note(f"poolscope view {file.path} shows the recording")


def _claimed(save: str, visit: Visit) -> LineFile:
    try:
        own = claim(save)
    except OSError as error:
        visit.close()
        raise CannotLookError(f"can't write --save {save!r}: {error.strerror}") from None
    return LineFile(own.path, lambda: own, own)


class _Stops:
    """A first Ctrl-C, SIGTERM or SIGHUP ends the visit early, a second does not wait for the rest, and a third ends us.

    Handlers, because an exception can come at any line: between two records, or while one is written.
    """

    def __init__(self, visit: Visit) -> None:
        self.deadly: int | None = None
        """The signal that ends us after the report; Ctrl-C does not."""
        self._visit = visit
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, *DEADLY)}
        self._came = 0

    def __repr__(self) -> str:
        return f"<_Stops for {self._visit!r}, {self._came} came>"

    def __enter__(self) -> Self:
        for number, handler in self._before.items():
            if handler is not signal.SIG_IGN:  # in the background of a shell script, or under nohup
                signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _: object) -> None:
        self._came += 1
        if number in DEADLY:
            self.deadly = number
        if self._came == 1:
            self._visit.stop()
        else:
            self._visit.give_up()
            self.__exit__()


def _with_findings(stream: Iterator[Record]) -> Iterator[Record]:
    """The order of a saved file: findings before the summary."""
    overview = Overview()
    for record in stream:
        overview.add(record)
        if isinstance(record, Summary):
            yield from overview.findings()
        yield record


def screen(pid: int, seconds: float, wait: float, note: Note) -> None:
    """Attach, and show `poolscope top` meanwhile."""
    from poolscope.cli.top import check, run

    check()
    visit = Visit(pid, seconds, wait, live=True)
    reading = threading.Thread(target=lambda: list(visit.records()), daemon=True)
    reading.start()
    try:
        run(_watch(pid), note)
    finally:
        visit.stop()
        reading.join(SOCKET_WITHIN)
        visit.close()


def _watch(pid: int) -> Watch:
    deadline = time.monotonic() + SOCKET_WITHIN
    while True:
        try:
            return Watch([pid])
        except CannotLookError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
