"""The watch over an event loop: what it measures, and that the program does not notice it."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest

import poolscope.testing
from poolscope.facts import now
from poolscope.story import busy
from poolscope.story.busy import LoopWatch, watch_loop
from tests.servers import Running, in_thread
from tests.story.beats import Beats

LONG = 0.1


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def watching(at: float) -> LoopWatch:
    watch = watch_loop(at)
    assert watch is not None
    return watch


def timers() -> list[Any]:
    """What the running loop has still to do later."""
    loop: Any = asyncio.get_running_loop()
    return [timer for timer in loop._scheduled if not timer.cancelled()]


def ours() -> list[Any]:
    """What poolscope has still to do later on the running loop."""
    return [timer for timer in timers() if "LoopWatch" in repr(timer)]


@on_a_loop
async def test_outside_of_a_setup_there_is_no_timer() -> None:
    began = now()
    watch = watching(began)
    assert len(timers()) == 1
    watch.ends(began, [])
    assert timers() == []


@on_a_loop
async def test_many_setups_share_a_timer() -> None:
    began = now()
    watches = {watching(began) for _ in range(100)}
    assert len(watches) == len(timers()) == 1
    for _ in range(100):
        (watch,) = watches
        watch.ends(began, [])
    assert timers() == []


@on_a_loop
async def test_time_in_which_nothing_else_ran_is_found_in_its_phase() -> None:
    beats = Beats()
    beating = asyncio.create_task(beats.run())
    began = now()
    watch = watching(began)
    await asyncio.sleep(LONG)
    middle = now()
    time.sleep(3 * LONG)
    await asyncio.sleep(0)
    ended = now()
    found = watch.ends(began, [("connect", began, middle), ("tls", middle, ended)])
    assert 3 * LONG - 2 * busy.EVERY <= found["tls"] <= ended - middle
    beats.stopping = True
    await beating
    assert found["connect"] <= beats.stood_still(began, middle)


@on_a_loop
async def test_a_setup_that_goes_on_in_the_same_turn_of_the_loop_counts_too() -> None:
    began = now()
    watch = watching(began)
    time.sleep(LONG)
    assert watch.ends(began, [("connect", began, now())])["connect"] >= LONG - 2 * busy.EVERY


@on_a_loop
async def test_a_clock_that_stands_still_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under freezegun, where no timer is ever due."""
    loop = asyncio.get_running_loop()
    began = now()
    watch = watching(began)
    stopped = loop.time()
    monkeypatch.setattr(loop, "time", lambda: stopped)
    time.sleep(LONG)
    assert watch.ends(began, [("connect", began, now())]) == {}


@on_a_loop
async def test_a_thread_that_was_held_up_before_its_watch_began_leaves_it_known() -> None:
    began = now()
    time.sleep(2 * busy.LATE)
    watch = watching(began)
    assert list(watch.ends(began, [("connect", began, now())])) == ["connect"]


class ClockOfItsOwn(asyncio.SelectorEventLoop):
    """A program's own loop."""


def test_other_loops_than_the_known_are_left_alone() -> None:
    async def watched() -> LoopWatch | None:
        return watch_loop(now())

    with asyncio.Runner(loop_factory=ClockOfItsOwn) as runner:
        assert runner.run(watched()) is None
    assert watch_loop(now()) is None  # there is no loop


@on_a_loop
async def test_a_setup_whose_end_is_never_seen_is_not_watched_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(busy, "LONGEST", 3 * busy.EVERY)
    watching(now())
    while timers():
        await asyncio.sleep(busy.EVERY)
    began = now()
    watch = watching(began)  # the next one is watched again
    assert len(timers()) == 1
    assert watch.ends(began, [("connect", began, now())]) == {"connect": 0.0}


@on_a_loop
async def test_a_setup_that_is_longer_than_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy, "LONGEST", 3 * busy.EVERY)
    began = now()
    watch = watching(began)
    while timers():
        await asyncio.sleep(busy.EVERY)
    assert watch.ends(began, [("connect", began, now())]) == {}


def test_a_loop_that_was_closed_in_the_middle_is_not_kept() -> None:
    loop = asyncio.new_event_loop()

    async def begins() -> None:
        watching(now())

    loop.run_until_complete(begins())
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


@on_a_loop
async def test_a_request_on_a_kept_connection_costs_no_timer(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Any] = []

    def counted(at: float) -> LoopWatch | None:
        begun.append(at)
        return watch_loop(at)

    monkeypatch.setattr("poolscope.story.connection.watch_loop", counted)
    with poolscope.testing.capture():
        async with httpx.AsyncClient() as client:
            for number in range(3):
                await client.get(server.url(f"/fixed/{number}"))
    assert len(begun) == 1
    assert ours() == []


@on_a_loop
async def test_nothing_is_left_after_setups_that_fail_or_are_cancelled(server: Running) -> None:
    with poolscope.testing.capture():
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get("http://127.0.0.1:1/")
            cut = asyncio.create_task(client.get(server.url("/fixed/1").replace("127.0.0.1", "localhost")))
            while not ours():
                await asyncio.sleep(0)
            cut.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cut
    assert ours() == []


def test_a_loop_in_debug_mode_has_nothing_to_say(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    async def several() -> None:
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(client.get(server.url(f"/slow/50/{number}")) for number in range(5)))

    with caplog.at_level(logging.DEBUG, "asyncio"), poolscope.testing.capture() as captured:
        asyncio.run(several(), debug=True)
    assert len(captured.connections) == 5
    assert [record.message for record in caplog.records if "LoopWatch" in record.message] == []


@on_a_loop
async def test_an_end_that_was_not_seen_leaves_later_setups_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(busy, "LONGEST", 0.05)
    watching(now())  # its end is never seen
    while ours():
        await asyncio.sleep(0.01)
    began = now()
    watch = watching(began)
    assert ours()
    watch.ends(began, [])
    assert not ours()
