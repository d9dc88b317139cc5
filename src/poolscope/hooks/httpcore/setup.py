"""The moments of a connection's setup on httpcore, and the wrapper of the backend that begins it.

The setup follows a plan of phases that the library's own rules fix beforehand; whatever phase it stands in
when the connecting task fails is the one that failed.
"""

from __future__ import annotations

from poolscope.facts import BEGUN, ENDED, OPENED, Connection, now
from poolscope.hooks.guarding import guard
from poolscope.hooks.httpcore import peek
from poolscope.hooks.httpcore.exchange import class_of
from poolscope.hooks.httpcore.state import CURRENT, Flight, Wire, put
from poolscope.hooks.live import LIVE
from poolscope.libraries.resolver import Lookup
from poolscope.queue import FACTS
from poolscope.story.suppression import suppressed


def connect_begins(wire: Wire) -> None:
    """The connecting task asks the backend for a stream; a retry goes on with the same sheet."""
    sheet = wire.sheet
    flight: Flight | None = CURRENT.get()
    at = now()
    if sheet is None or sheet.closed_at is not None:
        sheet = wire.sheet = Connection(wire.origin, FACTS.epoch)
        sheet.via = wire.via
        sheet.setup_started_at = at
        sheet.attempts = 0
        state = wire.pool_state
        sheet.keepalive_expiry = peek.limits_of(state.pool())[2]
        sheet.client = state.client_id
        sheet.pool = None if state.sheet is None else state.sheet.id
        wire.open = False
        if flight is not None:
            sheet.opened_by = flight.sheet.id
            if sheet.client is None:
                sheet.client = flight.sheet.client
        wire.connecting = flight
        wire.silent = suppressed() if flight is None else flight.silent
        put(BEGUN, sheet, wire.silent)
    sheet.attempts = (sheet.attempts or 0) + 1
    sheet.error = None
    wire.step = 0
    wire.phase, wire.phase_at = "connect", at


def connect_ends(wire: Wire, lookups: list[Lookup], connected: bool) -> None:
    """The backend returned a stream, or raised."""
    sheet = wire.sheet
    if sheet is None:
        return
    at = now()
    for started_at, ended_at, found in lookups:
        sheet.phases.append(("dns", started_at, ended_at))
        wire.phase, wire.phase_at = ("connect", ended_at) if found else ("dns", at)
    if connected:
        _end_phase(wire, sheet, at)


def _end_phase(wire: Wire, sheet: Connection, at: float) -> None:
    if wire.step < len(wire.plan):
        sheet.phases.append((wire.plan[wire.step], wire.phase_at, at))
        wire.step += 1
        wire.phase = wire.plan[min(wire.step, len(wire.plan) - 1)]
        wire.phase_at = at


def handshake_begins(wire: Wire) -> None:
    """What came before it in the plan, the proxy's answer or the loading of certificates, is over."""
    sheet = wire.sheet
    if sheet is not None and not wire.open:
        at = now()
        if wire.phase == "proxy_tunnel":
            _end_phase(wire, sheet, wire.touched_at or at)
        if wire.phase == "tls_context":
            _end_phase(wire, sheet, at)
        wire.phase_at = at


def handshake_ends(wire: Wire) -> None:
    """A TLS handshake of the setup succeeded."""
    sheet = wire.sheet
    if sheet is not None and not wire.open:
        _end_phase(wire, sheet, now())


def setup_is_over(wire: Wire) -> bool:
    """Whether every phase that was planned has ended."""
    return wire.step >= len(wire.plan)


def opened_late(wire: Wire) -> None:
    """The request itself is being written: whatever was still planned is over, or never was."""
    sheet = wire.sheet
    if sheet is not None and wire.phase == "proxy_tunnel" and not setup_is_over(wire):
        _end_phase(wire, sheet, wire.touched_at or now())
    opened(wire)


def opened(wire: Wire) -> None:
    """Setup is over and the connection usable."""
    sheet = wire.sheet
    if sheet is None or wire.open:
        return
    wire.open = True
    wire.h2 = sheet.alpn == "h2" or wire.prior_knowledge
    if wire.h2:
        sheet.http_version = "2"
    sheet.opened_at = wire.phase_at
    flight, wire.connecting = wire.connecting, None
    put(OPENED, sheet, wire.silent)
    setup_ended(wire, sheet, flight)


def setup_failed(wire: Wire, flight: Flight, error: BaseException) -> None:
    """The connecting task gave up: this connection will never be usable."""
    sheet = wire.sheet
    if sheet is None or wire.open or wire.connecting is not flight or sheet.closed_at is not None:
        return
    wire.connecting = None
    at = now()
    sheet.failed_phase = wire.phase
    if wire.phase != "dns":
        sheet.phases.append((wire.phase, wire.phase_at, at))
    sheet.error = class_of(error).__name__
    sheet.closed_at = at
    put(ENDED, sheet, wire.silent)
    setup_ended(wire, sheet, flight)


@guard("httpcore.live_setup")
def setup_ended(wire: Wire, sheet: Connection, flight: Flight | None) -> None:
    door = LIVE.door
    if door is not None and not wire.silent:
        door.setup_ended(sheet, None if flight is None or flight.silent else flight.sheet)
