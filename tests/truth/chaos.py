"""Programs in which everything goes wrong: the same moves for each library, and the outcome of each move."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Awaitable, Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any
from urllib.parse import urlsplit

import anyio

from tests.compat.alike import described, outcome_of
from tests.servers import Running, ServerLog, let_go
from tests.truth.probes import PATIENCE, Probe

UNUSUAL = ("goon", "trailers", "http10", "early", "empty")
BROKEN = ("halfchunk", "nochunk", "halfhead", "excess", "cut", "drop", "garbage")
BROKEN_HTTP2 = ("rst", "half", "goaway", "refuse", "cut", "drop")
MOST_AWAITS = 60


class UploadFailed(Exception):
    """Raised by a request's body."""


class Play:
    """A client, its server, and the outcome of each move."""

    def __init__(self, probe: Probe, server: Running) -> None:
        self.probe = probe
        self.server = server
        self.outcomes: list[Any] = []
        self._before = server.log().accepts
        self._numbers = itertools.count()

    def url(self, behaviour: str) -> str:
        """A path that was not used before: ``slow/20`` becomes ``/slow/20/7``."""
        return self.server.url(f"/{behaviour}/{next(self._numbers)}")

    def get(self, behaviour: str, **options: Any) -> None:
        self.note(self.probe.getting(self.url(behaviour), **options))

    def note(self, move: Callable[[], Any]) -> None:
        self.outcomes.append(outcome_of(lambda: plain(self.probe.run(move))))

    def result_of(self, begun: Future[Any]) -> None:
        self.outcomes.append(outcome_of(lambda: plain(begun.result(PATIENCE))))

    def log(self) -> ServerLog:
        """What the server has seen of this play."""
        return since(self._before, self.server.log())

    def settled(self, condition: Callable[[ServerLog], bool]) -> ServerLog:
        return since(self._before, self.server.settled(lambda log: condition(since(self._before, log))))

    def lets_its_loop_look(self) -> None:
        """Give an event loop time to notice what arrived on its sockets; there is no condition to wait for."""
        if "async" in self.probe.tags:
            self.probe.run(lambda: anyio.sleep(0.02))

    def lets_go(self, url: str) -> None:
        """The server goes on with its answer."""
        let_go(urlsplit(url).path)

    def closes_while_in_use(self) -> None:
        """Close the client but keep it, like a program that uses it afterwards."""
        client = self.probe.client
        self.probe.close()
        self.probe.client = client


def since(accepts: int, log: ServerLog) -> ServerLog:
    return ServerLog(log.connections[accepts:])


def plain(result: Any) -> Any:
    """A result as plain values, without its objects."""
    if isinstance(result, bytes):
        return len(result)
    return getattr(result, "status_code", getattr(result, "status", None))


# The server misbehaves


def each_twice(*behaviours: str) -> Callable[[Play], None]:
    """With one client: each of these paths twice, and then an ordinary one."""

    def program(play: Play) -> None:
        for behaviour in behaviours:
            for each in (behaviour, behaviour, "fixed"):
                play.get(each)
                play.log()  # now the server has sent all of its answer

    return program


def garbage_while_idle(play: Play) -> None:
    for _ in range(2):
        url = play.url("afterthought")
        play.note(play.probe.getting(url))
        play.lets_go(url)
        play.settled(lambda log: log.connections[-1].ended is not None)
        play.lets_its_loop_look()
    play.get("fixed")


# The program misbehaves


def parts_that_fail_at(count: int) -> Iterator[bytes]:
    yield from itertools.repeat(b"part", count)
    raise UploadFailed


def uploads_that_raise(play: Play) -> None:
    for count in range(3):
        play.get("fixed", body=parts_that_fail_at(count))
        play.get("fixed")
        play.get("goon", body=iter([b"one", b"two"]))


def answer_closed_by_another_thread(play: Play) -> None:
    for behaviour in ("size/200000", "chunked", "stall", "empty"):
        answer = play.probe.open(play.url(behaviour))
        play.outcomes.append(plain(answer))
        play.probe._threads.submit(play.probe.leave, answer).result(PATIENCE)
        play.note(play.probe.reading(answer))
        play.probe.leave(answer)
        play.get("fixed")


def answer_read_by_another_thread(play: Play) -> None:
    answers = [play.probe.open(play.url("size/200000")) for _ in range(3)]
    for answer in answers:
        play.result_of(play.probe.begin(play.probe.reading(answer)))
        play.note(play.probe.reading(answer))
    play.get("fixed")


def answers_dropped(play: Play) -> None:
    for behaviour in ("size/200000", "chunked", "empty"):
        play.outcomes.append(plain(play.probe.open(play.url(behaviour))))
        play.lets_its_loop_look()  # its last task holds the answer
        gc.collect()
        play.get("fixed")


def client_closed_with_an_answer_open(play: Play) -> None:
    answer = play.probe.open(play.url("size/200000"))
    play.closes_while_in_use()
    play.note(play.probe.reading(answer))
    play.probe.leave(answer)
    play.get("fixed")


def client_closed_under_a_request(play: Play) -> None:
    # A close does not wake a thread that is waiting; it needs an answer.
    url = play.url("silence" if "async" in play.probe.tags else "held")
    asking = play.probe.begin(play.probe.getting(url))
    play.settled(lambda log: len(log.requests) == 1)
    play.closes_while_in_use()
    play.lets_go(url)
    play.result_of(asking)
    play.get("fixed")


PROGRAMS: dict[str, Callable[[Play], None]] = {
    "unusual answers": each_twice(*UNUSUAL),
    "broken answers": each_twice(*BROKEN),
    "more answers than requests": each_twice("unasked", "hints"),  # what http.client makes of 103
    "garbage while idle": garbage_while_idle,
    "uploads that raise": uploads_that_raise,
    "an answer closed by another thread": answer_closed_by_another_thread,
    "an answer read by another thread": answer_read_by_another_thread,
    "answers dropped": answers_dropped,
    "a client closed with an answer open": client_closed_with_an_answer_open,
    "a client closed under a request": client_closed_under_a_request,
}


# HTTP/2


def among_others(behaviour: str) -> Callable[[Play], None]:
    """Two streams are in progress while this happens on a third; which of them reads first may vary."""

    def program(play: Play) -> None:
        play.get("fixed")
        # Not held: a thread of httpcore's that reads for all streams would keep the others from what it has read.
        others = [play.probe.begin(play.probe.getting(play.url("slow/30"))) for _ in range(2)]
        play.settled(lambda log: len(log.requests) == 3)
        play.get(behaviour)
        for other in others:
            play.result_of(other)
        play.get("fixed")

    return program


def uploads_that_raise_on_streams(play: Play) -> None:
    for count in range(3):
        play.get("fixed", body=parts_that_fail_at(count))
        play.get("fixed")


PROGRAMS_HTTP2: dict[str, Callable[[Play], None]] = {
    "unusual answers": each_twice("hints", "trailers"),
    "broken answers": each_twice("rst", "half", "goaway", "refuse"),  # a close may arrive as a reset or not
    "uploads that raise": uploads_that_raise_on_streams,
    "an answer closed by another thread": answer_closed_by_another_thread,
    "a client closed with an answer open": client_closed_with_an_answer_open,
}


# Cancellation


class Stepped:
    """Await something, and cancel it the ``last``-th time it suspends."""

    def __init__(self, awaited: Awaitable[Any], last: int, cancel: Callable[[], object]) -> None:
        self.awaited, self.last, self.cancel = awaited, last, cancel
        self.count = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.awaited.__await__()
        value, error = None, None
        while True:
            try:
                waits_for = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as over:
                return over.value
            self.count += 1
            if self.count == self.last:
                self.cancel()
            value = error = None
            try:
                value = yield waits_for
            except BaseException as thrown:
                error = thrown


async def cancelled_at(last: int, move: Callable[[], Awaitable[Any]]) -> tuple[int, Any]:
    """How often ``move`` suspended, and its outcome; where it suspends depends on when bytes arrive."""
    outcome: Any = None
    scope = anyio.CancelScope()
    stepped = Stepped(move(), last, scope.cancel)
    with scope:
        try:
            return stepped.count, ("returned", plain(await stepped))
        except anyio.get_cancelled_exc_class() as error:
            outcome = ("cancelled", *described(error))
            raise
        except Exception as error:
            outcome = ("raised", *described(error))
    return stepped.count, outcome


def cancelled_at_every_await(play: Play, path: str, **options: Any) -> None:
    portal: Any = play.probe.portal  # type: ignore[attr-defined]
    for last in range(1, MOST_AWAITS):
        move = play.probe.getting(play.url(path), **options)
        count, outcome = portal.call(cancelled_at, last, move)
        play.outcomes.append(outcome)
        play.get("fixed")
        if count < last:
            return
    raise AssertionError(f"still suspended after {MOST_AWAITS} awaits")
