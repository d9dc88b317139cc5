"""A world of requests and connections with its own counts and clock, compared with what the story says of them.

`World` accepts moves in any order that a program could make them, even twice or too late. It derives its
expectations from its own few sets, and from the time of each move; `check` compares them with the queue and the
registry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from poolscope.facts import BEGUN, ENDED, OPENED, Client, Connection, Exchange
from poolscope.queue import FACTS
from poolscope.story import connection as connection_story
from poolscope.story import exchange as story
from poolscope.story.connection import ConnectionMark
from poolscope.story.live import LIVE, state_of

ORIGIN = ("https", "api.test", None)
MOVES = (
    "ask", "ask_silently", "queue", "connect", "open", "fail_setup", "take", "lose", "ask_for_stream", "get_stream",
    "send", "answer", "finish", "fail", "drop", "close", "collect", "finish_again", "close_again",
)  # fmt: skip
LINES = (1, 1, 2)
"""Where its clients were built: two of them by the same line."""


class World:
    """Some connections, some exchanges, and what should be known of them."""

    def __init__(self) -> None:
        LIVE.reset()
        FACTS.drain()
        self.said: list[tuple[str, object]] = []
        self.waiting: list[Exchange] = []
        self.running: list[tuple[Exchange, ConnectionMark]] = []
        self.over: list[tuple[Exchange, str]] = []
        self.marks: list[ConnectionMark] = []
        self.closed: list[ConnectionMark] = []
        self.numbers: Counter[int] = Counter()
        self.asked = self.silent = 0
        self.ended: Counter[int] = Counter()
        """Ids of the exchanges that are over; each should be reported once."""
        self.begun: set[int] = set()
        self.opened: set[int] = set()
        self.shut: set[int] = set()
        self.time = 1000.0
        self.times: dict[tuple[int, str], float | None] = {}
        """What a fact of an exchange, by its id and name, should be."""
        self.idle_since: dict[int, float] = {}
        """Since when a connection, by the id of its mark, has served nobody."""
        self.clients: list[Client] = []
        for line in LINES:
            client = Client("Client", FACTS.epoch)
            client.call_site = (World.__init__.__code__, line)
            LIVE.clients[client.id] = client
            self.clients.append(client)
        self.sent_by: Counter[int] = Counter()
        """How many exchanges each client, by its place, began."""
        self.lines: dict[int, int | None] = {}
        """The line of the client of each exchange, by its id."""

    def __repr__(self) -> str:
        return f"<World {len(self.waiting)} waiting, {len(self.running)} running, {len(self.over)} over>"

    def hear(self, moment: str, sheet: object) -> None:
        """A consumer of the queue."""
        self.said.append((moment, sheet))

    def play(self, choices: Iterable[tuple[int, int]]) -> None:
        """Make a move for each choice, then check; its second number picks the object, and the seconds before it."""
        FACTS.add_consumer(self.hear)
        try:
            with pytest.MonkeyPatch.context() as patch:
                for part in (story, connection_story):
                    patch.setattr(part, "now", lambda: self.time)
                for move, which in choices:
                    self.time += which
                    getattr(self, MOVES[move % len(MOVES)])(which)
                    self.check_live()
                self.check()
        finally:
            FACTS.remove_consumer(self.hear)

    def expect(self, exchange: Exchange, **facts: float | None) -> None:
        """From now on, these facts of ``exchange`` should have these values."""
        self.times.update({(exchange.id, name): value for name, value in facts.items()})

    # Moves

    def ask(self, which: int) -> None:
        self.asked += 1
        place = which % (len(self.clients) + 1) - 1  # -1 is a request without a client
        client, line = (None, None) if place < 0 else (self.clients[place], LINES[place])
        exchange = story.asks(
            ORIGIN, "GET", "/", call=None, client=None if client is None else client.id, pool=None
        )
        self.sent_by[place] += client is not None
        self.lines[exchange.id] = line
        live = [each for each in self.in_progress() if self.lines[each.id] == line]
        assert exchange.in_flight == len(live) + 1
        self.waiting.append(exchange)
        self.expect(exchange, started_at=self.time)

    def ask_silently(self, _: int) -> None:
        self.silent += 1
        exchange = story.follow_silently(ORIGIN, "GET", "/")
        self.waiting.append(exchange)
        self.expect(exchange, started_at=self.time)

    def in_progress(self) -> list[Exchange]:
        """The exchanges that are not over, without the suppressed ones."""
        known = [*self.waiting, *(exchange for exchange, _ in self.running)]
        return [exchange for exchange in known if not exchange.silent]

    def queue(self, which: int) -> None:
        """The pool has no connection for it."""
        exchange = _pick([e for e in self.waiting if e.connecting is None], which)
        if exchange is not None:
            exchange.queued = True

    def assign(self, exchange: Exchange, mark: ConnectionMark) -> None:
        story.assigned(exchange, mark)
        waited = exchange.queued or exchange.failed_attempts
        self.expect(exchange, pool_wait=self.time - exchange.started_at if waited else 0.0)

    def connect(self, which: int) -> None:
        exchange = _pick(self.waiting, which)
        if exchange is not None and exchange.connecting is None:
            mark = ConnectionMark()
            self.assign(exchange, mark)
            mark.begins(ORIGIN, "direct", exchange, silent=exchange.silent)
            self.marks.append(mark)
            if not mark.silent:
                assert mark.sheet is not None
                self.begun.add(mark.sheet.id)

    def open(self, which: int) -> None:
        mark = _pick([mark for mark in self.marks if mark.setup is not None], which)
        if mark is not None and mark.setup is not None:
            sheet = mark.setup.sheet
            mark.setup.over("tls")
            mark.opened()
            assert sheet.phases == [("connect", sheet.setup_started_at, self.time)]
            assert sheet.opened_at == self.time
            self.idle_since[id(mark)] = self.time
            if not mark.silent:
                assert mark.sheet is not None
                self.opened.add(mark.sheet.id)

    def fail_setup(self, which: int) -> None:
        mark = _pick([mark for mark in self.marks if mark.setup is not None], which)
        if mark is not None and mark.setup is not None:
            exchange, sheet = mark.setup.exchange, mark.setup.sheet
            mark.setup_failed("ConnectionRefusedError")
            assert sheet.closed_at == self.time
            self.marks.remove(mark)
            if not mark.silent:
                self.shut.add(sheet.id)
            if exchange in self.waiting:
                self.waiting.remove(exchange)
                story.failed(exchange, OSError(), "OSError")
                self._is_over(exchange)

    def take(self, which: int) -> None:
        busy = {id(mark) for _, mark in self.running}
        mark = _pick([m for m in self.marks if m.setup is None and m.sheet and id(m) not in busy], which)
        exchange = _pick([e for e in self.waiting if e.connecting is None], which)
        if mark is not None and exchange is not None:
            if exchange._mark is not mark:  # else it has set it up
                self.assign(exchange, mark)
            mark.taken(exchange)
            idle_since = self.idle_since.pop(id(mark))
            reused = bool(exchange.reused) and not mark.silent
            self.expect(exchange, idle_time=self.time - idle_since if reused else None)
            mark.counted(exchange)
            self.waiting.remove(exchange)
            self.running.append((exchange, mark))
            if not mark.silent:
                assert mark.sheet is not None
                self.numbers[mark.sheet.id] += 1
                if not exchange.silent:
                    assert exchange.request_number == self.numbers[mark.sheet.id]
                    assert exchange.reused is (mark.sheet.opened_by != exchange.id)

    def lose(self, which: int) -> None:
        """HTTP/2: the server refused the stream, and the exchange asks again."""
        running = _pick(self.running, which)
        if running is not None and running[0].headers_at is None:
            self.running.remove(running)
            self.has_stream(running[0])
            story.lost(running[0])
            self.waiting.append(running[0])
            self.idle_since[id(running[1])] = self.time
            self.expect(running[0], sent_at=None, idle_time=None)
            assert (running[0].connection, running[0].reused, running[0].request_number) == (None, None, None)

    def ask_for_stream(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None and running[0].sent_at is None and running[0].stream_asked_at is None:
            story.asks_for_stream(running[0])
            assert running[0].stream_asked_at == self.time

    def get_stream(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            self.has_stream(running[0])

    def has_stream(self, exchange: Exchange) -> None:
        """Its wait for a stream, if there is one, is over."""
        if exchange.stream_asked_at is not None:
            waited = self.time - exchange.stream_asked_at
            for name in ("pool_wait", "stream_wait"):
                before = self.times.get((exchange.id, name)) or 0.0
                self.expect(exchange, **{name: before + waited})
        story.has_stream(exchange)

    def send(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            story.sent(running[0])
            self.expect(running[0], sent_at=self.time)

    def answer(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            story.headers(running[0], 200, None, http_version="1.1")
            self.expect(running[0], headers_at=self.time)

    def finish(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            self.running.remove(running)
            self.has_stream(running[0])
            assert story.ended(running[0], True)
            self._is_over(running[0])
            self.idle_since[id(running[1])] = self.time

    def fail(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            self.running.remove(running)
            self.has_stream(running[0])
            story.failed(running[0], OSError(), "OSError")
            self._is_over(running[0])
            self.idle_since[id(running[1])] = self.time

    def drop(self, which: int) -> None:
        """The garbage collector takes an answer, and its connection, which was never given back."""
        running = _pick([(exchange, mark) for exchange, mark in self.running if mark in self.marks], which)
        if running is not None:
            exchange, mark = running
            sheet = mark.sheet
            assert sheet is not None
            self.running.remove(running)
            story.dropped(exchange, False)
            mark.collected()
            assert sheet.active_at_close == (not mark.silent)
            self._is_over(exchange)
            self._is_shut(mark, sheet)

    def close(self, which: int) -> None:
        mark = _pick([mark for mark in self.marks if mark.setup is None], which)
        if mark is not None:
            busy = any(other is mark for _, other in self.running)
            sheet = mark.closing("client")
            assert sheet is not None
            assert sheet.active_at_close == (busy and not mark.silent)
            assert sheet.closed_at == self.time
            mark.closed(sheet, 0.0)
            self._is_shut(mark, sheet)

    def collect(self, which: int) -> None:
        mark = _pick([mark for mark in self.marks if mark.setup is None], which)
        if mark is not None and mark.sheet is not None:
            sheet = mark.sheet
            mark.collected()
            self._is_shut(mark, sheet)

    def finish_again(self, which: int) -> None:
        """A close of the response by another thread, and its collection, come after its end."""
        over = _pick(self.over, which)
        if over is not None:
            before = (over[0].finished_at, over[0].body_complete, over[0].error)
            assert not story.ended(over[0], False, "TooLateError")
            assert (over[0].finished_at, over[0].body_complete, over[0].error) == before

    def close_again(self, which: int) -> None:
        mark = _pick(self.closed, which)
        if mark is not None:
            assert mark.closing("gc") is None
            mark.collected()

    def _is_over(self, exchange: Exchange) -> None:
        self.over.append((exchange, "over"))
        self.expect(exchange, finished_at=self.time)
        if not exchange.silent:
            self.ended[exchange.id] += 1

    def _is_shut(self, mark: ConnectionMark, sheet: Connection) -> None:
        self.marks.remove(mark)
        self.closed.append(mark)
        if not mark.silent:
            self.shut.add(sheet.id)

    # What must hold

    def check_live(self) -> None:
        """The registry holds what is in progress, and nothing else."""
        assert set(LIVE.exchanges) == {exchange.id for exchange in self.in_progress()}
        open_now = {m.sheet.id for m in self.marks if m.sheet is not None and not m.silent}
        assert set(LIVE.connections) == open_now
        for exchange, mark in self.running:
            if mark.sheet is not None and mark not in self.closed:
                assert (exchange.id in mark.sheet.in_flight) is not mark.silent
        for exchange in self.waiting:
            assert state_of(exchange) in ("waiting", "connecting")
        idle = {id(mark) for mark in self.marks} - {id(mark) for _, mark in self.running}
        for mark in self.marks:
            if id(mark) in idle and mark.setup is None and mark.sheet is not None:
                assert not mark.sheet.in_flight
                assert mark.sheet.idle_since == self.idle_since[id(mark)] or mark.silent

    def check(self) -> None:
        """Everything was reported once; of suppressed exchanges, nothing was."""
        FACTS.settle()
        ends = Counter(sheet.id for moment, sheet in self.said if isinstance(sheet, Exchange))
        assert ends == self.ended
        self.check_connections()
        for place, client in enumerate(self.clients):
            assert client.started.value == self.sent_by[place]
        finished = sum(self.ended.values())
        silent_over = sum(exchange.silent for exchange, _ in self.over)
        assert self.asked + self.silent == finished + silent_over + len(self.waiting) + len(self.running)
        everybody = [e for e, _ in [*self.over, *self.running]] + self.waiting
        for exchange in everybody:
            expected = {name: value for (number, name), value in self.times.items() if number == exchange.id}
            assert {name: getattr(exchange, name) for name in expected} == expected

    def check_connections(self) -> None:
        """Each moment of a connection was reported once, and in its order."""
        moments: dict[int, list[Any]] = {}
        for moment, sheet in self.said:
            if isinstance(sheet, Connection):
                moments.setdefault(sheet.id, []).append(moment)
        expected = {
            number: [BEGUN] + [OPENED] * (number in self.opened) + [ENDED] * (number in self.shut)
            for number in self.begun
        }
        assert moments == expected


def _pick(among: list, which: int):
    return among[which % len(among)] if among else None
