"""Nothing grows with what is open: among three times as many open answers, one more costs as much as before."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import poolscope
from poolscope import queue
from poolscope.story import busy
from poolscope.testing import capture
from tests.servers import Running, ServerConfig, in_thread
from tests.truth.chaos import Play
from tests.truth.probes import ALL, PROBES, Options
from tests.truth.watching import LEAVES_SOCKETS

pytestmark = [pytest.mark.load, LEAVES_SOCKETS]

FEW, MORE, MANY = 5, 15, 45
LIBRARIES = [name for name in ALL if not name.startswith("httpx2")]  # which has the same hooks as httpx
PACKAGE = f"{Path(poolscope.__file__).parent}/"


@pytest.fixture(scope="module")
def http2() -> Iterator[Running]:
    with in_thread(ServerConfig("http2")) as running:
        yield running


@pytest.fixture(autouse=True)
def only_the_end_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request drains what others have stated: the drain is counted apart."""
    monkeypatch.setattr(queue, "RELIEF_AT", queue.CAPACITY)


@pytest.fixture(autouse=True)
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """How often the watch over a loop looks depends on how long setups take, not on what is open."""
    monkeypatch.setattr(busy, "EVERY", 3_600.0)


class Lines:
    """Counts the lines of poolscope's that run in all threads begun in its block, by what the program does."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self.doing = "build"

    def __enter__(self) -> Lines:
        self._before = sys.gettrace(), threading.gettrace()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before[0])
        threading.settrace(self._before[1])

    def _trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        self.of[self.doing] += event == "line"
        return self._trace


def lines_with(number: int, name: str, server: Running, **options: Any) -> Counter[str]:
    """The lines that run while a program opens so many answers, closes their client, and drops them unread."""
    with Lines() as lines, PROBES[name]() as probe, capture() as seen:
        probe.build(Options(max_connections=number, max_idle=number, **options))
        play = Play(probe, server)
        lines.doing = "open"  # each has a path so long that it is searched for tokens
        answers = [probe.open(play.url("size/2000000/long")) for _ in range(number)]
        lines.doing = "close"
        play.closes_while_in_use()
        lines.doing = "drop"
        answers.clear()
        gc.collect()
        lines.doing = "drain"
        seen.settle()
        lines.doing = "end"
        probe.client = None
        assert len(seen.exchanges) == number
        assert len(seen.opened()) == (1 if options.get("http2") else number)
        assert {connection.close_reason for connection in seen.opened()}.isdisjoint({None, "unknown"})
    return lines.of


def assert_that_it_does_not_grow(few: Counter[str], more: Counter[str], many: Counter[str]) -> None:
    """Compare what one more open answer costs, which leaves out what there is to do once."""
    for doing in ("open", "close", "drop", "drain"):
        one_of_few = (more[doing] - few[doing]) / (MORE - FEW)
        one_of_many = (many[doing] - more[doing]) / (MANY - MORE)
        assert one_of_many <= one_of_few * 1.08, doing
    assert many["open"] > MANY * 20
    assert many["drain"] > MANY * 20


@pytest.mark.parametrize("name", LIBRARIES)
def test_each_open_answer_costs_the_same(name: str, server: Running) -> None:
    assert_that_it_does_not_grow(*(lines_with(number, name, server) for number in (FEW, MORE, MANY)))


@pytest.mark.parametrize("name", ["httpx-sync", "httpx-asyncio"])
def test_each_open_stream_costs_the_same(name: str, http2: Running) -> None:
    assert_that_it_does_not_grow(
        *(lines_with(number, name, http2, http2=True) for number in (FEW, MORE, MANY))
    )


def lines_of_a_request(idle: int, name: str, server: Running) -> int:
    """The lines that run for one more request while the pool keeps so many idle connections."""
    with Lines() as lines, PROBES[name]() as probe, capture() as seen:
        probe.build(Options(max_connections=idle, max_idle=idle))
        answers = [probe.open(server.url("/size/2000000")) for _ in range(idle)]
        assert [probe.read(answer) for answer in answers] == [None] * idle
        assert [probe.get(server.url("/fixed/1")) for _ in range(20)] == [None] * 20  # it is no new client
        lines.doing = "request"
        assert [probe.get(server.url("/fixed/1")) for _ in range(10)] == [None] * 10
        lines.doing = "drain"
        seen.settle()
        lines.doing = "end"
        assert len(seen.opened()) == idle
        assert all(exchange.reused for exchange in seen.exchanges[idle:])
    return lines.of["request"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_request_costs_the_same_whatever_the_pool_holds(name: str, server: Running) -> None:
    few, many = (lines_of_a_request(idle, name, server) for idle in (1, MANY))
    assert 10 * 20 < many <= few * 1.02
