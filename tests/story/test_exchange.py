"""In whatever order moments come, numbers add up, nothing is reported twice and nothing is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from poolscope.facts import BEGUN, ENDED
from poolscope.queue import FACTS
from poolscope.story import exchange as story
from poolscope.story.connection import ConnectionMark
from poolscope.story.live import LIVE, Registry
from tests.story.model import MOVES, World

CHOICES = some.lists(
    some.tuples(some.integers(0, len(MOVES) - 1), some.integers(0, 5)), min_size=1, max_size=60
)


@given(CHOICES)
@settings(max_examples=300, deadline=None)
def test_a_world_of_exchanges_adds_up(choices: list[tuple[int, int]]) -> None:
    World().play(choices)


def random_choices(seed: int) -> list[tuple[int, int]]:
    chance = random.Random(seed)
    return [(chance.randrange(len(MOVES)), chance.randrange(6)) for _ in range(80)]


def an_end_is_reported_twice(patch: pytest.MonkeyPatch) -> None:
    over = story._over
    patch.setattr(story, "_over", lambda exchange: (over(exchange), FACTS.put(ENDED, exchange)))


def an_end_is_not_reported(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(story, "_over", lambda exchange: LIVE.exchanges.pop(exchange.id, None))


def an_end_leaves_the_exchange_live(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(story, "_over", lambda exchange: exchange.silent or FACTS.put(ENDED, exchange))


def nobody_claims_an_end(patch: pytest.MonkeyPatch) -> None:
    ended = story.ended

    def every_time(exchange: Any, *rest: Any, **more: Any) -> bool:
        exchange._peers[exchange.id] = None
        return ended(exchange, *rest, **more)

    patch.setattr(story, "ended", every_time)


def a_connection_is_not_given_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConnectionMark, "given_back", lambda *_: None)


def a_lost_connection_is_kept(patch: pytest.MonkeyPatch) -> None:
    lost = story.lost

    def keeps(exchange: Any) -> None:
        connection = exchange.connection
        lost(exchange)
        exchange.connection = connection

    patch.setattr(story, "lost", keeps)


def suppressed_exchanges_are_live(patch: pytest.MonkeyPatch) -> None:
    follow = story.follow_silently

    def speaks(*about: Any) -> Any:
        exchange = follow(*about)
        LIVE.exchanges[exchange.id] = exchange
        return exchange

    patch.setattr(story, "follow_silently", speaks)


def an_asking_exchange_is_unknown(patch: pytest.MonkeyPatch) -> None:
    asks = story.asks

    def late(*about: Any, **more: Any) -> Any:
        exchange = asks(*about, **more)
        del LIVE.exchanges[exchange.id]
        return exchange

    patch.setattr(story, "asks", late)


def a_request_is_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ConnectionMark, "counted", lambda *_: None)


def a_close_is_stated_by_everybody(patch: pytest.MonkeyPatch) -> None:
    def closing(self: ConnectionMark, trigger: str, at: float | None = None) -> Any:
        if self.sheet is not None:
            LIVE.connections.pop(self.sheet.id, None)
            self.sheet.active_at_close = len(self.sheet.in_flight)
        return self.sheet

    patch.setattr(ConnectionMark, "closing", closing)


def a_failed_setup_stays(patch: pytest.MonkeyPatch) -> None:
    failed = ConnectionMark.setup_failed

    def stays(self: ConnectionMark, error: str) -> None:
        assert self.setup is not None
        sheet = self.setup.sheet
        failed(self, error)
        LIVE.connections[sheet.id] = sheet

    patch.setattr(ConnectionMark, "setup_failed", stays)


def a_new_connection_is_called_reused(patch: pytest.MonkeyPatch) -> None:
    taken = ConnectionMark.taken

    def reused(self: ConnectionMark, exchange: Any, **more: Any) -> None:
        taken(self, exchange, **more)
        exchange.reused = True

    patch.setattr(ConnectionMark, "taken", reused)


def a_connection_begins_after_it_opened(patch: pytest.MonkeyPatch) -> None:
    begins, opened = ConnectionMark.begins, ConnectionMark.opened

    def unsaid(self: ConnectionMark, *about: Any, **more: Any) -> Any:
        setup = begins(self, *about, **more)
        if not self.silent:
            FACTS._facts.pop()
        return setup

    def late(self: ConnectionMark, at: float | None = None) -> None:
        opened(self, at)
        if not self.silent and self.sheet is not None:
            FACTS.put(BEGUN, self.sheet)

    patch.setattr(ConnectionMark, "begins", unsaid)
    patch.setattr(ConnectionMark, "opened", late)


def a_wait_is_not_measured(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(story, "waited", lambda exchange, _: setattr(exchange, "pool_wait", 0.0))


def idle_time_begins_at_the_open(patch: pytest.MonkeyPatch) -> None:
    given_back = ConnectionMark.given_back

    def idle_ever_since(self: ConnectionMark, exchange: Any, complete: bool | None) -> None:
        given_back(self, exchange, complete)
        if self.sheet is not None and self.sheet.idle_since is not None:
            self.sheet.idle_since = self.sheet.opened_at

    patch.setattr(ConnectionMark, "given_back", idle_ever_since)


def a_request_of_a_client_counts_twice(patch: pytest.MonkeyPatch) -> None:
    begins = Registry.begins

    def twice(self: Registry, exchange: Any) -> None:
        begins(self, exchange)
        if exchange.client is not None:
            self.clients[exchange.client].started.up()

    patch.setattr(Registry, "begins", twice)


FAULTS = (
    a_connection_begins_after_it_opened,
    a_wait_is_not_measured,
    idle_time_begins_at_the_open,
    a_request_of_a_client_counts_twice,
    an_end_is_reported_twice,
    an_end_is_not_reported,
    an_end_leaves_the_exchange_live,
    nobody_claims_an_end,
    a_connection_is_not_given_back,
    a_lost_connection_is_kept,
    suppressed_exchanges_are_live,
    an_asking_exchange_is_unknown,
    a_request_is_not_counted,
    a_close_is_stated_by_everybody,
    a_failed_setup_stays,
    a_new_connection_is_called_reused,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(
    fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(200):
            World().play(random_choices(seed))


def test_the_same_worlds_are_right_without_a_fault() -> None:
    for seed in range(200):
        World().play(random_choices(seed))
