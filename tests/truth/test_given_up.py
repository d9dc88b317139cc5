"""Requests that are given up after their connection is set up: in which phase, why, and nothing left over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

import poolscope.testing
from poolscope.queue import FACTS
from poolscope.records import Exchange
from tests.servers import Scripted, scripted
from tests.truth.probes import ALL, ASYNC, URLLIB3
from tests.truth.watching import Capture, ends, giving_up, until, watch

PHASES = {"writing": "sending", "waiting": "awaiting_headers", "reading": "reading"}
"""The phase that the exchange is in, and the snapshot's word for it."""
TIMEOUTS = {"writing": "WriteTimeout", "waiting": "ReadTimeout", "reading": "ReadTimeout"}
PATIENCE = 0.2
PART = b"x" * 65_536
PARTS = 1_000
"""More bytes than the socket buffers of both sides hold."""

on_all = pytest.mark.parametrize("name", ALL)
on_async = pytest.mark.parametrize("name", ASYNC)
in_phases = pytest.mark.parametrize("phase", PHASES)
# httpx leaves the body of an abandoned request to the garbage collector, and trio warns about it.
LEAVES = pytest.mark.filterwarnings(
    "ignore:.*async_generator object:pytest.PytestUnraisableExceptionWarning",
    "ignore:Async generator:ResourceWarning",
)


def body() -> Iterator[bytes]:
    for _ in range(PARTS):
        yield PART


def stopping_in(phase: str) -> AbstractContextManager[Scripted]:
    """A server that plays up to a phase and then does nothing until the client closes."""

    def script(server: Scripted) -> None:
        with server.accept() as peer:
            try:
                peer.read_head()
            except ConnectionError:
                return  # it has given up already
            if phase == "reading":
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
            if phase == "writing":
                server.wait_for_test()  # the client cannot go on writing what the server does not read
            else:
                server.reached.set()
            peer.wait_for_close()

    return scripted(script)


@on_all
@in_phases
@LEAVES
def test_a_timeout(name: str, phase: str) -> None:
    def attempt(patience: float) -> Capture:
        with stopping_in(phase) as server, watch(name) as (probe, captured):
            parts = body() if phase == "writing" else None
            assert probe.get(server.url(), timeout=patience, body=parts) is not None
            server.go.set()
        return captured

    captured, patience = giving_up(PATIENCE, attempt, lambda captured: _got_as_far(captured, phase))
    exchange = _given_up(captured, phase)
    error = captured.connections[0].error
    if name in (*URLLIB3, "aiohttp"):
        assert error == "TimeoutError"
        wrapped = phase == "reading" and name in URLLIB3
        assert exchange.error == ("urllib3.exceptions.ReadTimeoutError" if wrapped else "TimeoutError")
    else:
        assert error == TIMEOUTS[phase]
        assert exchange.error == f"{'httpcore2' if name.startswith('httpx2') else 'httpcore'}.{error}"
    assert ends(captured) == [("timeout", "client")]
    assert exchange.finished_at is not None and exchange.started_at is not None
    assert exchange.finished_at - exchange.started_at >= 0.9 * patience


@on_async
@in_phases
@LEAVES
def test_a_cancellation(name: str, phase: str) -> None:
    with stopping_in(phase) as server, watch(name) as (probe, captured):
        asked = probe.begin(probe.getting(server.url(), body=body() if phase == "writing" else None))
        server.wait_for_script()
        until(lambda: _states(captured) == [PHASES[phase]])
        asked.cancel()
        until(lambda: not _states(captured))
        server.go.set()
    exchange = _given_up(captured, phase)
    error = "trio.Cancelled" if name.endswith("trio") else "asyncio.exceptions.CancelledError"
    assert (captured.connections[0].error, exchange.error) == (error.rpartition(".")[2], error)
    assert ends(captured) == [("cancelled", "client")]


@on_all
def test_a_body_that_raises_was_not_sent(name: str) -> None:
    def half() -> Iterator[bytes]:
        yield PART
        raise LookupError("the program's own")

    error = "aiohttp.client_exceptions.ClientConnectionError" if name == "aiohttp" else "LookupError"
    with stopping_in("waiting") as server, watch(name) as (probe, captured):
        assert probe.get(server.url(), body=half()) == error.rpartition(".")[2]
    exchange = _given_up(captured, "writing")
    assert exchange.error == error
    assert ends(captured) == [("exchange_failed", "client")]


def _got_as_far(captured: Capture, phase: str) -> bool:
    if not captured.opened():
        return False
    (exchange,) = captured.exchanges
    moments = {"writing": exchange.started_at, "waiting": exchange.sent_at, "reading": exchange.headers_at}
    return moments[phase] is not None


def _states(captured: poolscope.testing.Capture) -> list[str]:
    FACTS.settle()
    return [holder.state for holder in captured.ledger.snapshot().holders]


def _given_up(captured: poolscope.testing.Capture, phase: str) -> Exchange:
    """The one exchange, after checking what does not depend on the library."""
    (connection,), (exchange,) = captured.connections, captured.exchanges
    assert connection.failed_phase is None
    assert (exchange.connection, exchange.request_number, exchange.reused) == (connection.id, 1, False)
    assert connection.requests == 1
    assert (exchange.sent_at is None) == (phase == "writing")
    assert (exchange.headers_at is None) == (phase != "reading")
    assert exchange.status == (200 if phase == "reading" else None)
    assert exchange.body_complete is (False if phase == "reading" else None)
    moments = [
        connection.opened_at,
        exchange.sent_at,
        exchange.headers_at,
        connection.closed_at,
    ]
    known = [moment for moment in moments if moment is not None]
    assert known == sorted(known)
    assert exchange.finished_at is not None and exchange.finished_at >= known[-2]
    live = captured.ledger.snapshot()
    assert (live.connections, live.waiters, live.holders, live.clients) == ((), (), (), ())
    return exchange
