"""Signals while ``poolscope attach`` reads and writes: they may come before any line of ours, once or twice."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from poolscope.attach import outside
from poolscope.cli import attach
from poolscope.cli.stops import Stopped
from poolscope.recording import line_file
from poolscope.recording.errors import CannotWriteError
from poolscope.records import to_json
from tests.reports.stories import Story

OURS = {attach.__file__, outside.__file__, line_file.__file__}


def recorded() -> bytes:
    story = Story()
    story.header()
    client = story.client()
    connection = story.connect(client)
    for _ in range(3):
        story.exchange(client, connection)
    story.summary()
    return "".join(f"{to_json(record)}\n" for record in story.records).encode()


RECORDED = recorded()
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Connected(outside.Visit):
    """A visit at the other end of a socket that has sent everything, and hung up."""

    def __init__(self, pid: int, *_: object, **__: object) -> None:
        self.pid = pid
        self.complete = self.silent = False
        self._rest = b""
        self._until = float("inf")
        self._connected, other = socket.socketpair()
        with other:
            other.sendall(RECORDED)


@contextmanager
def sent(number: signal.Signals, before: int, times: int) -> Iterator[list[str]]:
    """Send it before the n-th line of `_show` and of what it calls; yields the lines before which it was sent."""
    seen = 0
    came: list[str] = []

    def trace(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        nonlocal seen
        if frame.f_code.co_filename not in OURS or not within("_show", frame):
            return None
        if event == "line":
            seen += 1
            if before <= seen < before + times:
                came.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
                signal.raise_signal(number)
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)
    try:
        yield came
    finally:
        sys.settrace(earlier)


def within(name: str, frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGHUP, 2)],
)
def test_whenever_a_signal_comes_the_file_is_whole(
    number: signal.Signals, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "Visit", Connected)
    handlers = [signal.getsignal(each) for each in SIGNALS]
    records = [json.loads(line) for line in RECORDED.splitlines()]
    places = set()
    for line in range(1, 10_000):
        saved = tmp_path / f"{line}.jsonl"
        notes: list[str] = []
        with sent(number, line, times) as came, suppress(Stopped):
            attach.report(1, 1.0, 1.0, str(saved), "text", False, notes.append)
            assert number == signal.SIGINT or not came, "it dies of the signal"
        kept = [json.loads(text) for text in saved.read_text().splitlines()]
        assert kept == records[: len(kept)], came
        assert kept == records or times == 2, came
        assert notes[0] == f"poolscope view {saved} shows the recording"
        assert [note.endswith("did not send the rest: it is stopped, or too busy") for note in notes[1:]] == (
            [True] if kept != records else []
        )
        assert [signal.getsignal(each) for each in SIGNALS] == handlers
        if len(came) < times:
            break
        places.update(came)
    assert {place.partition(":")[0] for place in places} >= {"_show", "records", "_lines", "_piece", "flush"}


def test_a_file_that_cannot_be_written_further_is_one_line_beside_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(attach, "Visit", Connected)
    notes: list[str] = []
    with pytest.raises(
        CannotWriteError, match=r"^--save '/dev/full' is not complete: No space left on device$"
    ):
        attach.report(1, 1.0, 1.0, "/dev/full", "text", False, notes.append)
    assert "total  3 requests" in capsys.readouterr().out
    assert notes == []


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize("saved", [None, "/dev/full"])
def test_a_terminal_that_closes_ends_it_by_its_signal(
    saved: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGHUP)
        raise CannotWriteError("can't write to stdout: Input/output error")

    monkeypatch.setattr(attach, "Visit", Connected)
    monkeypatch.setattr(attach, "say", closed)
    notes: list[str] = []
    with pytest.raises(Stopped) as stopped:
        attach.report(1, 1.0, 1.0, saved, "text", False, notes.append)
    assert stopped.value.number == signal.SIGHUP
