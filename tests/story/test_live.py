"""Another thread may come before any line of ours: what both begin and end is counted once, and nothing of it stays."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from poolscope.facts import ENDED, Client, Exchange, Moment, Sheet
from poolscope.queue import FACTS
from poolscope.story import exchange as story
from poolscope.story.live import LIVE

ORIGIN = ("https", "api.test", None)


@pytest.fixture
def ends() -> Iterator[list[int]]:
    """The ids of the exchanges that are reported as over."""
    LIVE.reset()
    heard: list[int] = []

    def hear(moment: Moment, sheet: Sheet) -> None:
        if moment == ENDED and isinstance(sheet, Exchange):
            heard.append(sheet.id)

    FACTS.add_consumer(hear)
    yield heard
    FACTS.remove_consumer(hear)
    LIVE.reset()


def interrupted(line: int, move: Callable[[], Any]) -> bool:
    """Make ``move``; before its line of this number, another thread makes it too. False if it has fewer lines."""
    lines = itertools.count()

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and next(lines) == line:
            other = threading.Thread(target=move)
            other.start()
            other.join()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        move()
    finally:
        sys.settrace(before)
    return next(lines) > line


def test_no_beginning_is_lost(ends: list[int]) -> None:
    line = 0
    for line in itertools.count():
        LIVE.reset()
        client = LIVE.clients[0] = Client("Client", FACTS.epoch)
        begun: list[Exchange] = []

        def asks(begun: list[Exchange] = begun) -> None:
            begun.append(story.asks(ORIGIN, "GET", "/", call=None, client=0, pool=None))

        if not interrupted(line, asks):
            break
        assert client.started.value == 2
        assert LIVE.exchanges.keys() == {exchange.id for exchange in begun}
        assert {exchange.in_flight for exchange in begun} in ({1, 2}, {2})
    assert line > 20


def test_two_threads_end_an_exchange_and_only_one_reports_it(ends: list[int]) -> None:
    line = 0
    for line in itertools.count():
        exchange = story.asks(ORIGIN, "GET", "/", call=None, client=None, pool=None)
        first: list[bool] = []

        def ended(exchange: Exchange = exchange, first: list[bool] = first) -> None:
            first.append(story.ended(exchange, True))

        if not interrupted(line, ended):
            break
        FACTS.settle()
        assert sorted(first) == [False, True]
        assert ends.count(exchange.id) == 1
        assert not LIVE.exchanges
        assert not any(LIVE.peers.values())
    assert line > 10
