"""Ctrl-C while ``poolscope attach`` reads and writes: it may come before any line of ours, once or twice."""

from __future__ import annotations

import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from poolscope.attach import outside
from poolscope.cli import attach
from poolscope.records import to_json
from tests.reports.stories import Story

OURS = {attach.__file__, outside.__file__}


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
def ctrl_c(before: int, times: int) -> Iterator[list[str]]:
    """Press it before the n-th line of `_show` and of what it calls; yields the lines before which it was pressed."""
    seen = 0
    pressed: list[str] = []

    def trace(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        nonlocal seen
        if frame.f_code.co_filename not in OURS or not within("_show", frame):
            return None
        if event == "line":
            seen += 1
            if before <= seen < before + times:
                pressed.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
                signal.raise_signal(signal.SIGINT)
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)
    try:
        yield pressed
    finally:
        sys.settrace(earlier)


def within(name: str, frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None


@pytest.mark.parametrize("times", [1, 2])
def test_wherever_ctrl_c_comes_the_file_is_whole(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "Visit", Connected)
    handler = signal.getsignal(signal.SIGINT)
    sent = [json.loads(line) for line in RECORDED.splitlines()]
    places = set()
    for line in range(1, 10_000):
        saved = tmp_path / f"{line}.jsonl"
        notes: list[str] = []
        with ctrl_c(line, times) as pressed:
            attach.report(1, 1.0, 1.0, str(saved), "text", False, notes.append)
        kept = [json.loads(text) for text in saved.read_text().splitlines()]
        assert kept == sent[: len(kept)], pressed
        assert kept == sent or times == 2, pressed
        assert notes[0] == f"poolscope view {saved} shows the recording"
        assert [note.endswith("did not send the rest: it is stopped, or too busy") for note in notes[1:]] == (
            [True] if kept != sent else []
        )
        assert signal.getsignal(signal.SIGINT) is handler
        if len(pressed) < times:
            break
        places.update(pressed)
    assert {place.partition(":")[0] for place in places} >= {"_show", "records", "_lines", "_piece"}
