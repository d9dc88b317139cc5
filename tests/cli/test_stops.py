"""A program that calls a command itself keeps its threads and its handlers."""

from __future__ import annotations

import signal
import threading

import pytest

from poolscope.cli.main import main
from poolscope.cli.stops import DEADLY


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
