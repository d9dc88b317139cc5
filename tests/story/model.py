"""A world of requests and connections with its own counts, compared with what the story says of them.

`World` accepts moves in any order that a program could make them, even twice or too late. It derives its
expectations from its own few sets; `check` compares them with the queue and the registry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from poolscope.facts import ENDED, OPENED, Connection, Exchange
from poolscope.queue import FACTS
from poolscope.story import exchange as story
from poolscope.story.connection import ConnectionMark
from poolscope.story.live import LIVE, state_of

ORIGIN = ("https", "api.test", None)
MOVES = (
    "ask", "ask_silently", "connect", "open", "fail_setup", "take", "lose", "send", "answer",
    "finish", "fail", "close", "collect", "finish_again", "close_again",
)  # fmt: skip


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
        self.opened: set[int] = set()
        self.shut: set[int] = set()

    def __repr__(self) -> str:
        return f"<World {len(self.waiting)} waiting, {len(self.running)} running, {len(self.over)} over>"

    def hear(self, moment: str, sheet: object) -> None:
        """A consumer of the queue."""
        self.said.append((moment, sheet))

    def play(self, choices: Iterable[tuple[int, int]]) -> None:
        """Make a move for each choice (its second number picks the object), then check."""
        FACTS.add_consumer(self.hear)
        try:
            for move, which in choices:
                getattr(self, MOVES[move % len(MOVES)])(which)
                self.check_live()
            self.check()
        finally:
            FACTS.remove_consumer(self.hear)

    # Moves

    def ask(self, _: int) -> None:
        self.asked += 1
        self.waiting.append(story.asks(ORIGIN, "GET", "/", call=None, client=None, pool=None))

    def ask_silently(self, _: int) -> None:
        self.silent += 1
        self.waiting.append(story.follow_silently(ORIGIN, "GET", "/"))

    def connect(self, which: int) -> None:
        if self.waiting:
            exchange = self.waiting[which % len(self.waiting)]
            if not any(mark.setup is not None and mark.setup.exchange is exchange for mark in self.marks):
                mark = ConnectionMark()
                mark.begins(ORIGIN, "direct", exchange, silent=exchange.silent)
                self.marks.append(mark)

    def open(self, which: int) -> None:
        mark = _pick([mark for mark in self.marks if mark.setup is not None], which)
        if mark is not None:
            mark.opened()
            if not mark.silent:
                assert mark.sheet is not None
                self.opened.add(mark.sheet.id)

    def fail_setup(self, which: int) -> None:
        mark = _pick([mark for mark in self.marks if mark.setup is not None], which)
        if mark is not None and mark.setup is not None:
            exchange, sheet = mark.setup.exchange, mark.setup.sheet
            mark.setup_failed("ConnectionRefusedError")
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
            story.assigned(exchange, mark)
            mark.taken(exchange)
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
            story.lost(running[0])
            self.waiting.append(running[0])
            assert (running[0].connection, running[0].reused, running[0].request_number) == (None, None, None)

    def send(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            story.sent(running[0])

    def answer(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            story.headers(running[0], 200, None, http_version="1.1")

    def finish(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            self.running.remove(running)
            assert story.ended(running[0], True)
            self._is_over(running[0])

    def fail(self, which: int) -> None:
        running = _pick(self.running, which)
        if running is not None:
            self.running.remove(running)
            story.failed(running[0], OSError(), "OSError")
            self._is_over(running[0])

    def close(self, which: int) -> None:
        mark = _pick([mark for mark in self.marks if mark.setup is None], which)
        if mark is not None:
            busy = any(other is mark for _, other in self.running)
            sheet = mark.closing("client")
            assert sheet is not None
            assert sheet.active_at_close == (busy and not mark.silent)
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
        live = {exchange.id for exchange in self.waiting if not exchange.silent}
        live |= {exchange.id for exchange, _ in self.running if not exchange.silent}
        assert set(LIVE.exchanges) == live
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
                assert mark.sheet.idle_since is not None or mark.silent

    def check(self) -> None:
        """Everything was reported once; of suppressed exchanges, nothing was."""
        FACTS.settle()
        ends = Counter(sheet.id for moment, sheet in self.said if isinstance(sheet, Exchange))
        assert ends == self.ended
        connections = [(moment, s.id) for moment, s in self.said if isinstance(s, Connection)]
        assert Counter(number for moment, number in connections if moment == OPENED) == Counter(self.opened)
        assert Counter(number for moment, number in connections if moment == ENDED) == Counter(self.shut)
        finished = sum(self.ended.values())
        silent_over = sum(exchange.silent for exchange, _ in self.over)
        assert self.asked + self.silent == finished + silent_over + len(self.waiting) + len(self.running)
        for exchange, _ in self.over:
            assert exchange.finished_at is not None
            assert exchange.finished_at >= exchange.started_at


def _pick(among: list, which: int):
    return among[which % len(among)] if among else None
