"""What begins while a snapshot is being taken has lasted for no time yet, and never for less."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from poolscope.facts import now
from poolscope.ledger import snapshot
from poolscope.ledger.since import Since
from poolscope.look import capture
from poolscope.queue import FACTS
from poolscope.recording.watched import Watched
from poolscope.reports.overview import Overview
from poolscope.story import exchange as story
from poolscope.story.connection import ConnectionMark
from poolscope.story.live import LIVE

ORIGIN = ("https", "api.test", None)


def something_begins() -> None:
    """A request waits, another has a connection, and a third has ended on its own."""
    story.asks(ORIGIN, "GET", "/", call=None, client=None, pool=None)
    for over in (False, True):
        mark = ConnectionMark()
        exchange = story.asks(ORIGIN, "GET", "/", call=None, client=None, pool=None)
        mark.begins(ORIGIN, "direct", exchange, False)
        mark.opened()
        story.assigned(exchange, mark)
        mark.taken(exchange)
        if over:
            story.ended(exchange, True)


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    LIVE.reset()
    yield monkeypatch
    LIVE.reset()
    FACTS.drain()


def begins_meanwhile(patch: pytest.MonkeyPatch, part: ModuleType) -> None:
    """Another thread runs right after ``part`` has read the time."""

    def then() -> float:
        at = now()
        something_begins()
        return at

    patch.setattr(part, "now", then)


def test_a_snapshot(empty: pytest.MonkeyPatch) -> None:
    begins_meanwhile(empty, snapshot)
    seen = snapshot.Snapshot.of(1, Since(0, 0, 0, 0))
    assert [waiter.waited for waiter in seen.waiters] == [0]
    assert [holder.held for holder in seen.holders] == [0]
    assert [(each.age, each.idle_time) for each in seen.connections] == [(0, None), (0, 0)]


def test_a_look(empty: pytest.MonkeyPatch) -> None:
    begins_meanwhile(empty, capture)
    look = capture.Taker(Watched("program", None, 0.0, [])).take(Overview(), Since(0, 0, 0, 0), 1.0)
    assert [waiter.waited for waiter in look.waiters] == [0]
    assert [holder.held for holder in look.holders] == [0]
    assert sorted((lane.age, lane.since) for lane in look.lanes if lane.state == "idle") == [(0, 0)]
    assert {lane.age for lane in look.lanes} == {0}
