"""Inside the attached process: record for a while, send the records, leave nothing behind.

All of it runs in poolscope's thread. It leaves at its time limit, and as soon as the other side hangs up.
"""

from __future__ import annotations

import json
from _socket import SHUT_RDWR, socket
from contextlib import suppress
from select import POLLIN, POLLOUT
from typing import Any, Final

from poolscope import __version__
from poolscope.facts import now
from poolscope.genuine import poll
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.ledger import Ledger
from poolscope.look.server import LiveSocket
from poolscope.queue import FACTS
from poolscope.recording.boot import program_name
from poolscope.recording.stream import Stream
from poolscope.records import Record, to_json

STEP: Final = 0.25
"""Seconds between two drains."""
LOOK_EVERY: Final = 1.0
PATIENCE: Final = 5.0
"""Seconds that the other side may take to read."""
MOST_WAITING: Final = 64_000_000
"""Most bytes that wait to be sent; a slower reader is given up."""
IN_PROGRESS_AFTER: Final = 1.0


class Gone(Exception):  # noqa: N818  (it is not a fault of poolscope)
    """The other side has gone."""


class Outbox:
    """Records on their way to the other side."""

    def __init__(self, connected: socket) -> None:
        self._socket = connected
        self._waiting = bytearray()
        connected.setblocking(False)

    def __repr__(self) -> str:
        return f"<Outbox {len(self._waiting)} bytes>"

    def add(self, record: Record) -> None:
        """Append a record; never waits."""
        self.line(to_json(record))

    def line(self, text: str) -> None:
        """Append a line."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting += text.encode() + b"\n"

    def wait(self, seconds: float) -> None:
        """Send what fits, for ``wait`` seconds at most; `Gone` if the other side hung up."""
        deadline = now() + seconds
        while True:
            events = POLLIN | (POLLOUT if self._waiting else 0)
            ready = self._ready(events, max(0.0, deadline - now()))
            if not ready:
                return
            self._serve(ready[0][1])
            if now() >= deadline:
                return

    def _ready(self, events: int, seconds: float) -> list[tuple[int, int]]:
        assert poll is not None, "a system without it cannot be attached to"
        watched = poll()
        watched.register(self._socket.fileno(), events)
        return list(watched.poll(seconds * 1_000))

    def _serve(self, events: int) -> None:
        try:
            if events & ~POLLOUT and not self._socket.recv(1_024):
                raise Gone
            if events & POLLOUT:
                del self._waiting[: self._socket.send(self._waiting[:65_536])]
        except BlockingIOError:
            return
        except OSError:
            raise Gone from None

    def flush(self) -> None:
        """Send everything, if the other side still reads."""
        deadline = now() + PATIENCE
        while self._waiting and now() < deadline:
            if self._ready(POLLOUT, 1.0):
                with suppress(BlockingIOError):
                    del self._waiting[: self._socket.send(self._waiting[:65_536])]


class Visit:
    """The recording of an attached process."""

    def __init__(self, connected: socket, settings: dict[str, Any]) -> None:
        self._socket = connected
        self._outbox = Outbox(connected)
        self._stream = Stream(program_name(), None, now(), (), self._outbox)
        self._ledger = Ledger(self._stream.take)
        self._until = now() + float(settings["seconds"])
        self._live = LiveSocket() if settings["live"] else None
        self._left = False

    def __repr__(self) -> str:
        return f"<Visit, {self._stream!r}>"

    def begin(self) -> None:
        """Put the hooks in."""
        if self._live is not None:
            self._stream.draw()
            self._live.watch(self._stream)
        INSTRUMENTOR.hold(self)
        FACTS.add_consumer(self._ledger.consume)
        FACTS.at_fork = (*FACTS.at_fork, self._after_fork)
        self._outbox.line(json.dumps({"hello": __version__}))
        self._stream.head()

    def stay(self) -> None:
        """Record until the time is over, or the other side hangs up."""
        look_at = 0.0
        while now() < self._until:
            self._drain()
            if self._live is not None and now() >= look_at:
                self._live.beat()
                look_at = now() + LOOK_EVERY
            self._outbox.wait(min(STEP, max(0.0, self._until - now())))

    def _drain(self) -> None:
        with FACTS.settled(1.0) as settled:
            if settled:
                self._ledger.tell_progress(now(), IN_PROGRESS_AFTER)

    def leave(self) -> None:
        """Take the hooks out, and send the rest."""
        self._take_out(settle=True)
        self._ledger.close()
        self._stream.put(self._stream.summary(None, 0))
        with suppress(OSError):
            self._outbox.flush()
            self._socket.shutdown(SHUT_RDWR)

    def _take_out(self, *, settle: bool) -> None:
        if self._left:
            return
        self._left = True
        self._stream.end()
        if settle:
            FACTS.settle()
        if self._live is not None:
            self._live.close()
        FACTS.at_fork = tuple(known for known in FACTS.at_fork if known != self._after_fork)
        FACTS.remove_consumer(self._ledger.consume)
        INSTRUMENTOR.release(self)

    def _after_fork(self) -> None:
        """A forked child was not attached to."""
        if self._live is not None:
            self._live.leave()
            self._live = None
        self._take_out(settle=False)
        self._socket.close()


def visit(connected: socket, settings: dict[str, Any]) -> None:
    """The injected script calls this in a new thread."""
    staying = Visit(connected, settings)
    try:
        staying.begin()
        staying.stay()
    except Gone:
        pass
    finally:
        staying.leave()
