"""``poolscope attach``: a running process is recorded for a while; then a report, a file, or meanwhile the screen."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from poolscope.attach.outside import Visit
from poolscope.look.client import CannotLookError, Watch
from poolscope.recording.own_file import OwnFile, claim
from poolscope.recording.stderr import say, width
from poolscope.records import Record, Summary, to_json
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
    with _CtrlC(visit):
        _show(visit, file, format_, color, note)
    if not visit.complete:
        note(
            f"process {pid} did not send the rest: it is stopped, or too busy"
            if visit.silent
            else f"process {pid} ended before its time was over"
        )


def _show(visit: Visit, file: OwnFile | None, format_: Format, color: bool, note: Note) -> None:
    rendering = renderer(
        format_, lambda text: say(text, nl=False, color=color), Look(columns=width(), color=color)
    )
    for record in _with_findings(visit.records()):
        if file is not None:
            file.write(f"{to_json(record)}\n".encode())
        rendering.add(record)
    visit.close()
    if file is None:
        rendering.finish()
    else:
        note(f"poolscope view {file.path} shows the recording")
        file.release()


def _claimed(save: str, visit: Visit) -> OwnFile:
    try:
        return claim(save)
    except OSError as error:
        visit.close()
        raise CannotLookError(f"can't write --save {save!r}: {error.strerror}") from None


class _CtrlC:
    """A first Ctrl-C ends the visit early, a second does not wait for the rest, and a third ends us.

    Handlers, because a KeyboardInterrupt can come at any line: between two records, or while one is written.
    """

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._before = signal.getsignal(signal.SIGINT)

    def __repr__(self) -> str:
        return f"<_CtrlC for {self._visit!r}>"

    def __enter__(self) -> None:
        if self._before is not signal.SIG_IGN:  # in the background of a shell script
            signal.signal(signal.SIGINT, self._end_early)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _end_early(self, *_: object) -> None:
        self._visit.stop()
        signal.signal(signal.SIGINT, self._do_not_wait)

    def _do_not_wait(self, *_: object) -> None:
        self._visit.give_up()
        signal.signal(signal.SIGINT, self._before)


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
