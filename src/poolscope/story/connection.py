"""What a connection goes through: its setup in phases, then exchanges, then a close.

    begins ── phases ──► opened ──► taken ⇄ given back ──► closing ──► closed
        └──► setup failed                              └──► collected

A `ConnectionMark` is left on the library's own connection object. Only the task that owns the connection writes
its sheet, and writes before it passes the connection on, so no lock is needed. Two threads may close it at once:
whichever takes the sheet out of `LIVE` reports the end. `closing` and `collected` may run inside garbage collection.
"""

from __future__ import annotations

from poolscope.facts import (
    BEGUN,
    ENDED,
    OPENED,
    CloseTrigger,
    Connection,
    Exchange,
    PhaseName,
    Pool,
    RawOrigin,
    Via,
    now,
)
from poolscope.queue import FACTS
from poolscope.story import failures
from poolscope.story.busy import LoopWatch, watch_loop
from poolscope.story.door import ENTRANCE
from poolscope.story.live import LIVE


class Setup:
    """A connection's setup under way: the phase it is in, and since when."""

    __slots__ = ("exchange", "loop", "phase", "sheet", "since")

    def __init__(self, sheet: Connection, exchange: Exchange | None, at: float) -> None:
        self.sheet = sheet
        self.exchange = exchange
        """The exchange that sets it up in its task; None if no request does."""
        self.phase: PhaseName = "connect"
        """What a failure would now belong to."""
        self.since = at
        self.loop: LoopWatch | None = None
        """The watch over its event loop."""

    def __repr__(self) -> str:
        return f"<Setup {self.phase} of {self.sheet!r}>"

    def enters(self, phase: PhaseName, at: float | None = None) -> None:
        """``phase`` begins; nothing is noted of the one before."""
        self.phase, self.since = phase, now() if at is None else at

    def over(self, then: PhaseName, at: float | None = None) -> None:
        """The phase it is in has ended, and ``then`` begins."""
        at = now() if at is None else at
        self.sheet.phases.append((self.phase, self.since, at))
        self.phase, self.since = then, at

    def answered(self, phase: PhaseName, unread: float | None) -> None:
        """The answer that ended the newest phase, ``phase``, had been ``unread`` for so many seconds; None if unknown."""
        phases, busy = self.sheet.phases, self.sheet.busy
        if unread is not None and self.loop is None and phases and phases[-1][0] == phase:
            busy[phase] = busy.get(phase, 0.0) + min(unread, phases[-1][2] - phases[-1][1])

    def finishes(self) -> None:
        """It is over: note how long its event loop was busy meanwhile."""
        loop, self.loop = self.loop, None
        if loop is not None:
            self.sheet.busy = loop.ends(self.sheet.setup_started_at or 0.0, self.sheet.phases)

    def tried(self, address: object, began_at: float, what: failures.Seen | None) -> None:
        """One address was tried; if it answered, the addresses before it cost the time until then."""
        sheet = self.sheet
        sheet.attempts = (sheet.attempts or 0) + 1
        failure = None if what is None else failures.of_attempt(sheet, what)
        sheet.tried.append((address, began_at, now(), failure))
        if what is None:
            sheet.lost_time = began_at - self.since


class ConnectionMark:
    """What we know of a library's connection object, and of the socket it holds now.

    One object may hold one socket after the other (urllib3), each with a sheet of its own.
    """

    __slots__ = ("exchange", "numbered", "setup", "sheet", "silent")

    def __init__(self) -> None:
        self.sheet: Connection | None = None
        """The socket's sheet; None while it holds no socket that may be reported."""
        self.exchange: Exchange | None = None
        """Its newest exchange."""
        self.setup: Setup | None = None
        """Its setup under way."""
        self.silent = False
        """The socket was opened under suppression: it is never reported."""
        self.numbered = True
        """Whether poolscope saw every request on it."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.sheet!r}{' silent' if self.silent else ''}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()  # a copy or pickle of the host's object is another connection

    # Setup

    def begins(self, origin: RawOrigin, via: Via, exchange: Exchange | None, silent: bool) -> Setup:
        """The setup of a new socket begins, in the task of ``exchange`` if a request waits for it."""
        at = now()
        sheet = self.sheet = Connection(origin, FACTS.epoch)
        sheet.via = via
        sheet.setup_started_at = at
        self.silent = silent
        self.numbered = True
        setup = self.setup = Setup(sheet, exchange, at)
        if exchange is not None:
            sheet.opened_by, sheet.client, sheet.pool = exchange.id, exchange.client, exchange.pool
            sheet.loop = exchange.loop
            if exchange.loop is not None:
                setup.loop = watch_loop(at)
            exchange.connecting = sheet
        if not silent:
            LIVE.connections[sheet.id] = sheet
            FACTS.put(BEGUN, sheet)
        return setup

    def opened(self, at: float | None = None) -> None:
        """Setup is over, and the connection is usable."""
        setup, self.setup = self.setup, None
        if setup is None:
            return
        sheet, exchange = setup.sheet, setup.exchange
        setup.finishes()
        sheet.opened_at = sheet.idle_since = setup.since if at is None else at
        if exchange is not None:
            exchange.connecting = None
        if not self.silent and sheet.id in LIVE.connections:  # else it began before a gap
            FACTS.put(OPENED, sheet)
        self._tell_setup(sheet, exchange)

    def setup_failed(self, error: str, what: failures.Seen | None = None) -> None:
        """The connecting task gave up in the phase it was in; ``error`` is the class that it saw on the wire."""
        setup, self.setup = self.setup, None
        if setup is None:
            return
        at = now()
        sheet, exchange = setup.sheet, setup.exchange
        sheet.failed_phase, sheet.error, sheet.closed_at = setup.phase, error, at
        sheet.failure = failures.of_setup(sheet, what or failures.by_name(error))
        if setup.phase != "dns" or not sheet.phases:
            sheet.phases.append((setup.phase, setup.since, at))
        setup.finishes()
        if exchange is not None:
            exchange.connecting = None
            exchange.failure = sheet.failure
        self.sheet = None
        if not self.silent and LIVE.connections.pop(sheet.id, None) is not None:
            FACTS.put(ENDED, sheet)
        self._tell_setup(sheet, exchange)

    def _tell_setup(self, sheet: Connection, exchange: Exchange | None) -> None:
        if ENTRANCE.door is not None and not self.silent:
            ENTRANCE.tell("setup_ended", sheet, exchange)

    def found_open(self, origin: RawOrigin, via: Via, pool: Pool | None) -> Connection:
        """A socket that was already open: its past is unknown."""
        sheet = self.sheet = Connection(origin, FACTS.epoch)
        sheet.via = via
        if pool is not None:
            sheet.client, sheet.pool = pool.client, pool.id
        self.numbered = False
        self.silent = False
        LIVE.connections[sheet.id] = sheet
        FACTS.put(OPENED, sheet)
        return sheet

    # Exchanges

    def taken(self, exchange: Exchange, joined: bool = False) -> None:
        """``exchange`` really has this connection; ``joined``: it waited while another one set it up."""
        sheet = self.sheet
        if sheet is None or sheet.closed_at is not None:
            return
        self.exchange = exchange
        exchange._mark = self
        if self.silent:
            return
        exchange.joined = joined
        exchange.reused = reused = sheet.opened_by != exchange.id and not joined
        idle_since, sheet.idle_since = sheet.idle_since, None
        if reused and idle_since is not None and not sheet.in_flight:
            at = now() if exchange.assigned_at is None else exchange.assigned_at
            if at >= idle_since:
                exchange.idle_time = at - idle_since
            elif sheet.http_version != "2":  # else it was handed out while others ran on it
                exchange.idle_time = 0.0
        sheet.last_status = sheet.body_complete = sheet.readable_at = None
        sheet.answer_closes = sheet.request_closes = None
        if sheet.http_version != "2":
            sheet.error, sheet.eof = None, False
        sheet.in_flight.add(exchange.id)
        if not exchange.silent:
            exchange.connection = sheet
            if sheet.epoch != FACTS.epoch and sheet.id not in LIVE.connections:
                # After a fork: the parent reports how it was opened, and its own requests on it.
                sheet.client, sheet.pool = exchange.client, exchange.pool
                LIVE.connections[sheet.id] = sheet
                sheet.unsettled.clear()
            sheet.unsettled.add(exchange.id)

    def counted(self, exchange: Exchange, number: int | None = None) -> None:
        """The head of the request is on the wire: it has its number, which HTTP/2 knows from its stream."""
        sheet = self.sheet
        if sheet is not None:
            sheet.requests += 1
            if number is not None:
                exchange.request_number = number
            elif self.numbered and not self.silent:
                exchange.request_number = sheet.requests

    def given_back(self, exchange: Exchange, complete: bool | None) -> None:
        """``exchange`` is done with this connection, which may have another owner a moment later."""
        sheet = self.sheet if exchange.connection is None else exchange.connection
        if sheet is None:
            return
        in_flight = sheet.in_flight
        if exchange.id not in in_flight:
            return
        if sheet.http_version != "2":
            sheet.body_complete = complete
        in_flight.discard(exchange.id)
        if in_flight:
            return
        at = exchange.finished_at
        if at is None or sheet.http_version == "2":  # another thread's stream may have ended since
            at = now()
        if sheet.closed_at is None:
            sheet.idle_since = at

    # The end

    def closing(self, trigger: CloseTrigger, at: float | None = None) -> Connection | None:
        """A close begins: returns the sheet to the first caller, else None."""
        sheet = self.sheet
        if sheet is None or sheet.closed_at is not None:
            return None
        if not self.silent and LIVE.connections.pop(sheet.id, None) is None:
            return None
        sheet.closed_at = now() if at is None else at
        sheet.close_trigger = trigger
        sheet.active_at_close = len(sheet.in_flight)
        if sheet.active_at_close:  # an HTTP/2 stream may begin in one thread while the last ends in another
            sheet.idle_since = None
        return sheet

    def closed(self, sheet: Connection, took: float | None) -> None:
        """The close that began with `closing` is over, after ``took`` seconds if it was a call."""
        sheet.close_time = took
        if not self.silent:
            FACTS.put(ENDED, sheet)

    def collected(self) -> None:
        """It was not closed: the garbage collector takes it."""
        sheet = self.closing("gc")
        if sheet is not None:
            self.closed(sheet, None)
