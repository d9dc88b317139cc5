"""A program that calls a command itself keeps its threads and its handlers."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from poolscope.cli import stops, top
from poolscope.cli.main import main
from poolscope.cli.stops import DEADLY, Stopped, leaving
from poolscope.top.app import Top


def lists_findings() -> int:
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("hang_up")
def test_its_handlers_are_back_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in DEADLY]
    assert lists_findings() == 0
    assert [signal.getsignal(number) for number in DEADLY] == before


def test_in_a_thread(capsys: pytest.CaptureFixture[str]) -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(lists_findings()))
    thread.start()
    thread.join()
    assert statuses == [0]


@pytest.fixture
def in_a_command() -> Iterator[None]:
    """The handler that a command has for SIGHUP."""
    before = signal.signal(signal.SIGHUP, stops._stop)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("in_a_command")
def test_a_signal_is_not_lost_to_an_exception_that_follows_it() -> None:
    with pytest.raises(Stopped) as stopped, leaving(lambda: None):
        signal.raise_signal(signal.SIGHUP)
        raise OSError("the terminal is gone")
    assert stopped.value.number == signal.SIGHUP


class Died(BaseException):
    """In place of a process's death."""


@pytest.mark.usefixtures("in_a_command")
def test_top_does_not_wait_for_a_terminal_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While Textual starts, its thread that writes is dead by then, and its end waits for that thread for ever."""

    def dies(number: int) -> None:
        raise Died(number)

    def its_terminal_closes(_: Any) -> None:
        os.close(keyboard)
        signal.raise_signal(signal.SIGHUP)
        raise AssertionError("it would wait")

    keyboard, screen = os.openpty()
    monkeypatch.setattr(top, "die_of", dies)
    monkeypatch.setattr(Top, "run", its_terminal_closes)
    with open(screen, "w", encoding="utf-8") as terminal, pytest.raises(Stopped) as stopped:
        monkeypatch.setattr(sys, "stdout", terminal)
        nothing: Any = SimpleNamespace(close=lambda: None)
        top.run(nothing, print)
    assert isinstance(stopped.value.__context__, Died)
