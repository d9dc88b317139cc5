"""An HTTP/2 connection in several threads: it is idle from its last end on, and only while nothing is in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from poolscope.facts import Connection, Exchange
from poolscope.queue import FACTS
from poolscope.story import connection as connection_story
from poolscope.story import exchange as story
from poolscope.story.connection import ConnectionMark
from poolscope.story.live import LIVE

ORIGIN = ("https", "api.test", None)


class Clock:
    """The time; the test moves it."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Emptied(set[int]):
    """The streams in flight of a connection; another thread runs right after one found that there are none."""

    def __init__(self, ids: set[int], then: Callable[[], Any]) -> None:
        super().__init__(ids)
        self.then: Callable[[], Any] | None = then

    def __len__(self) -> int:
        length, then = super().__len__(), self.then
        if length == 0 and then is not None:
            self.then = None
            then()
        return length


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    LIVE.reset()
    clock = Clock()
    for part in (story, connection_story):
        monkeypatch.setattr(part, "now", clock)
    yield clock
    LIVE.reset()
    FACTS.drain()


def opened() -> tuple[ConnectionMark, Connection]:
    mark = ConnectionMark()
    sheet = mark.begins(ORIGIN, "direct", None, False).sheet
    mark.opened()
    sheet.http_version = "2"
    return mark, sheet


def begun(mark: ConnectionMark) -> Exchange:
    exchange = story.asks(ORIGIN, "GET", "/", call=None, client=None, pool=None)
    story.assigned(exchange, mark)
    mark.taken(exchange)
    return exchange


def test_a_thread_that_is_late_does_not_make_the_connection_idle_too_early(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, sheet = opened()
    first, last = begun(mark), begun(mark)
    give_back = ConnectionMark.given_back

    def late(self: ConnectionMark, exchange: Exchange, complete: bool | None) -> None:
        if exchange is first:  # its end is noted; now another thread runs
            clock.time += 2
            story.ended(last, True)
        give_back(self, exchange, complete)

    monkeypatch.setattr(ConnectionMark, "given_back", late)
    story.ended(first, True)
    assert first.finished_at is not None
    assert last.finished_at == first.finished_at + 2
    assert sheet.idle_since == last.finished_at
    clock.time += 3
    assert begun(mark).idle_time == 3


def test_a_connection_that_closes_with_a_stream_in_flight_is_not_idle(clock: Clock) -> None:
    mark, sheet = opened()
    last = begun(mark)
    sheet.in_flight = Emptied(sheet.in_flight, lambda: begun(mark))
    story.ended(last, True)
    clock.time += 3
    assert mark.closing("client") is sheet
    assert (sheet.active_at_close, sheet.idle_since) == (1, None)


def test_a_connection_that_closes_meanwhile_is_idle_until_then_at_most(clock: Clock) -> None:
    mark, sheet = opened()
    last = begun(mark)

    def close() -> None:
        clock.time += 2
        mark.closing("client")
        clock.time += 2

    sheet.in_flight = Emptied(sheet.in_flight, close)
    story.ended(last, True)
    assert sheet.closed_at is not None
    assert sheet.idle_since is None or sheet.idle_since <= sheet.closed_at
