"""Every way in which setup fails, in every library and style: the phase that failed, and nothing left over."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import poolscope.testing
from poolscope.queue import FACTS
from poolscope.records import Connection, Exchange
from tests.servers import Certificates, Scripted, scripted
from tests.truth import probes
from tests.truth import setup_failures as ways
from tests.truth.probes import ALL, ASYNC, HTTPX, URLLIB3
from tests.truth.setup_failures import Failure, Names
from tests.truth.watching import LEAVES_SOCKETS, Capture, giving_up, until, watch

pytestmark = pytest.mark.load

PATIENCE = 0.3
"""Seconds until the client gives up on a server that does not answer."""


@dataclass(frozen=True, slots=True)
class Case:
    """A failure and its expected facts; errors by urllib3's and by httpcore's name."""

    way: Failure
    phases: tuple[str, ...]
    """Those that ran, in order; the last of them failed."""
    urllib3: str
    httpcore: str
    exchange: str | None = None
    """urllib3's name for the exchange's error, where it differs from its cause."""
    aiohttp: tuple[str, str] = ("", "")
    """aiohttp's errors of the connection and of the exchange."""
    names: tuple[str, ...] = tuple(ALL)


OURS = "aiohttp.client_exceptions."
NEW = "urllib3.exceptions.NewConnectionError"
TIMED = "urllib3.exceptions.ConnectTimeoutError"
NAME = "urllib3.exceptions.NameResolutionError"
CONNECT = ("dns", "connect")
TLS = (*CONNECT, "tls")
TUNNEL = ("connect", "proxy_tunnel")

SOCKS = tuple(name for name in ALL if name != "aiohttp")
"""aiohttp does not support SOCKS proxies, and retries when a proxy hangs up: see below."""

CASES = {
    "name not resolved": Case(
        ways.name_not_resolved,
        ("dns",),
        "gaierror",
        "ConnectError",
        NAME,
        aiohttp=("gaierror", "ClientConnectorDNSError"),
    ),
    "refused": Case(
        ways.refused,
        CONNECT,
        "ConnectionRefusedError",
        "ConnectError",
        NEW,
        aiohttp=("ConnectionRefusedError", "ClientConnectorError"),
    ),
    "connect unanswered": Case(
        ways.connect_unanswered,
        ("connect",),
        "TimeoutError",
        "ConnectTimeout",
        TIMED,
        aiohttp=("TimeoutError", "TimeoutError"),
    ),
    "untrusted": Case(
        ways.untrusted,
        TLS,
        "ssl.SSLCertVerificationError",
        "ConnectError",
        aiohttp=("SSLCertVerificationError", "ClientConnectorCertificateError"),
    ),
    "speaks plain": Case(
        ways.speaks_plain,
        TLS,
        "ssl.SSLError",
        "ConnectError",
        aiohttp=("SSLError", "ClientConnectorSSLError"),
    ),
    "hangs up": Case(
        ways.hangs_up_in_the_handshake,
        TLS,
        "ssl.SSLEOFError",
        "ConnectError",
        aiohttp=("ConnectionResetError", "ClientConnectorError"),
    ),
    "resets": Case(
        ways.resets_in_the_handshake,
        TLS,
        "ConnectionResetError",
        "ConnectError",
        aiohttp=("ConnectionResetError", "ClientConnectorError"),
    ),
    "handshake unanswered": Case(
        ways.handshake_unanswered,
        TLS,
        "TimeoutError",
        "ConnectTimeout",
        aiohttp=("TimeoutError", "TimeoutError"),
    ),
    "proxy down": Case(
        ways.proxy_down,
        CONNECT,
        "ConnectionRefusedError",
        "ConnectError",
        NEW,
        aiohttp=("ConnectionRefusedError", "ClientProxyConnectionError"),
    ),
    "proxy untrusted": Case(
        ways.untrusted_proxy,
        (*CONNECT, "tls_context", "tls"),
        "ssl.SSLCertVerificationError",
        "ConnectError",
        aiohttp=("SSLCertVerificationError", "ClientConnectorCertificateError"),
    ),
    "tunnel forbidden": Case(
        ways.tunnel_forbidden,
        TUNNEL,
        "OSError",
        "ProxyError",
        aiohttp=("ClientHttpProxyError", "ClientHttpProxyError"),
    ),
    "tunnel unauthorised": Case(
        ways.tunnel_unauthorised,
        TUNNEL,
        "OSError",
        "ProxyError",
        aiohttp=("ClientHttpProxyError", "ClientHttpProxyError"),
    ),
    "tunnel hung up": Case(
        ways.tunnel_hung_up, TUNNEL, "http.client.RemoteDisconnected", "RemoteProtocolError", names=SOCKS
    ),
    "tunnel unanswered": Case(
        ways.tunnel_unanswered,
        TUNNEL,
        "TimeoutError",
        "ReadTimeout",
        aiohttp=("TimeoutError", "TimeoutError"),
    ),
    "untrusted behind a tunnel": Case(
        ways.tls_behind_a_tunnel,
        (*TUNNEL, "tls"),
        "ssl.SSLCertVerificationError",
        "ConnectError",
        aiohttp=("SSLCertVerificationError", "ClientConnectorCertificateError"),
    ),
    "socks refused": Case(ways.socks_refused, TUNNEL, "socks.SOCKS5Error", "ProxyError", NEW, names=SOCKS),
    "socks unauthorised": Case(
        ways.socks_unauthorised, TUNNEL, "socks.SOCKS5AuthError", "ProxyError", NEW, names=SOCKS
    ),
    "socks unanswered": Case(
        ways.socks_unanswered,
        TUNNEL,
        "TimeoutError",
        "ReadTimeout",
        TIMED,
        # httpcore 1.0.9 reads a SOCKS proxy's answers without any timeout.
        names=tuple(name for name in SOCKS if not name.startswith("httpx-")),
    ),
}

GIVEN_UP = {
    "in the lookup": (ways.lookup_unanswered, ("dns",)),
    "while connecting": (ways.connect_unanswered, ("connect",)),
    "in the handshake": (ways.handshake_unanswered, TLS),
    "in the tunnel": (ways.tunnel_unanswered, TUNNEL),
    "in the SOCKS negotiation": (ways.socks_unanswered, TUNNEL),
}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    with ways.names_of_our_own(monkeypatch) as ours:
        yield ours


def _each() -> Iterator[Any]:
    for case, expected in CASES.items():
        for name in expected.names:
            # After a SOCKS proxy refuses, httpcore leaves the socket to the garbage collector, with and without us.
            leaves = LEAVES_SOCKETS if case.startswith("socks") and name in HTTPX else ()
            yield pytest.param(case, name, marks=leaves)


@pytest.mark.parametrize(("case", "name"), [*_each()])
def test_a_setup_that_fails(case: str, name: str, certificates: Certificates) -> None:
    expected = CASES[case]

    def attempt(seconds: float) -> Capture:
        limit = seconds if "Timeout" in expected.httpcore else probes.PATIENCE
        with expected.way(certificates) as cause, watch(name, **cause.options) as (probe, captured):
            assert probe.get(cause.url, timeout=limit) is not None
        return captured

    captured, patience = giving_up(PATIENCE, attempt, lambda captured: _at_last(captured, expected))
    connection, exchange = _failed(captured)
    if name == "aiohttp":
        error, of_exchange = expected.aiohttp
        of_exchange = of_exchange if of_exchange == "TimeoutError" else f"{OURS}{of_exchange}"
    elif name in URLLIB3:
        error, of_exchange = expected.urllib3, expected.exchange or expected.urllib3
    else:
        error = expected.httpcore
        of_exchange = f"{'httpcore2' if name.startswith('httpx2') else 'httpcore'}.{error}"
    assert (connection.error, exchange.error) == (error.rpartition(".")[2], of_exchange)
    _assert_phases(name, connection, expected.phases, patience)
    assert connection.attempts == (None if name not in HTTPX and connection.failed_phase == "dns" else 1)


def test_aiohttp_tries_again_where_a_proxy_hangs_up(certificates: Certificates) -> None:
    def script(server: Scripted) -> None:
        for _ in range(2):
            with server.accept() as peer:
                peer.read_head()

    with scripted(script) as server:
        options = {"proxy": f"http://127.0.0.1:{server.port}", "trust": certificates.trusting()}
        with watch("aiohttp", **options) as (probe, captured):
            assert probe.get("https://origin.test/") == "ServerDisconnectedError"
    assert [each.failed_phase for each in captured.connections] == ["proxy_tunnel"] * 2
    assert [each.error for each in captured.exchanges] == [f"{OURS}ServerDisconnectedError"] * 2
    assert [each.relation for each in captured.exchanges] == [None, "retry"]
    assert captured.exchanges[1].previous == captured.exchanges[0].id


@pytest.mark.parametrize(
    ("name", "when"),
    [(name, when) for name in ASYNC for when in GIVEN_UP if name in SOCKS or "SOCKS" not in when],
)
@LEAVES_SOCKETS
def test_a_setup_that_is_cancelled(name: str, when: str, names: Names, certificates: Certificates) -> None:
    way, phases = GIVEN_UP[when]
    with way(certificates) as cause, watch(name, **cause.options) as (probe, captured):
        asked = probe.begin(probe.getting(cause.url))
        stuck = names.pondering if way is ways.lookup_unanswered else cause.stuck
        if stuck is not None:
            assert stuck.wait(10)
        until(lambda: _connecting(captured))
        asked.cancel()
        until(lambda: _over(captured))
        names.released.set()
        probe.drop()
        # A cancelled task may keep its client alive for a moment.
        until(lambda: gc.collect() >= 0 and not captured.ledger.snapshot().clients)
    connection, exchange = _failed(captured)
    error = "trio.Cancelled" if name.endswith("trio") else "asyncio.exceptions.CancelledError"
    assert (connection.error, exchange.error) == (error.rpartition(".")[2], error)
    _assert_phases(name, connection, phases)


@pytest.mark.parametrize("name", HTTPX)
def test_a_lookup_that_takes_too_long(name: str, names: Names, certificates: Certificates) -> None:
    """Only asynchronous clients can limit how long a lookup may take."""
    with ways.lookup_unanswered(certificates) as cause, watch(name) as (probe, captured):
        asked = probe.begin(probe.getting(cause.url, timeout=PATIENCE))
        assert names.pondering.wait(10)
        if name in ASYNC:
            assert type(asked.exception(10)).__name__ == "ConnectTimeout"
        names.released.set()
        assert asked.exception(10) is not None
    connection, _ = _failed(captured)
    assert connection.error == ("ConnectTimeout" if name in ASYNC else "ConnectError")
    _assert_phases(name, connection, ("dns",))


def _connecting(captured: poolscope.testing.Capture) -> bool:
    FACTS.settle()
    return [live.state for live in captured.ledger.snapshot().connections] == ["connecting"]


def _over(captured: poolscope.testing.Capture) -> bool:
    FACTS.settle()
    return bool(captured.exchanges)


def _at_last(captured: Capture, expected: Case) -> bool:
    """Whether it soon came to the phase that was to fail, if it was to wait there."""
    (exchange,) = captured.exchanges
    starts = [
        each.setup[expected.phases[-1]].start
        for each in captured.connections
        if each.setup.get(expected.phases[-1])
    ]
    soon = [start for start in starts if start - (exchange.started_at or 0.0) <= 0.1 * PATIENCE]
    return bool(soon) or "Timeout" not in expected.httpcore


def _failed(captured: poolscope.testing.Capture) -> tuple[Connection, Exchange]:
    """The one connection and the one exchange of a failed setup, after checking what all failures have in common."""
    (connection,), (exchange,) = captured.connections, captured.exchanges
    assert captured.ledger.connections == 0, "none was ever open"
    assert (connection.opened_at, connection.requests) == (None, 0)
    assert (connection.close_reason, connection.closed_by, connection.close_time) == (None, None, None)
    assert connection.opened_by == exchange.id
    assert (exchange.connection, exchange.request_number, exchange.stream_id) == (None, None, None)
    assert (exchange.reused, exchange.joined, exchange.idle_time) == (None, None, None)
    assert (exchange.sent_at, exchange.headers_at, exchange.status) == (None, None, None)
    assert exchange.body_complete is None
    live = captured.ledger.snapshot()
    assert (live.connections, live.waiters, live.holders, live.clients) == ((), (), (), ())
    started, ended = connection.setup_started_at, connection.closed_at
    assert exchange.started_at is not None and exchange.finished_at is not None
    assert started is not None and ended is not None
    assert exchange.started_at <= started <= ended <= exchange.finished_at
    assert exchange.pool_wait is not None
    assert exchange.started_at + exchange.pool_wait <= started, "setup is no part of the wait"
    return connection, exchange


def _assert_phases(
    name: str, connection: Connection, expected: tuple[str, ...], patience: float = PATIENCE
) -> None:
    """Exactly these phases, one after the other, within the setup's own time."""
    if name in URLLIB3 and "tls" in expected and "tls_context" not in expected:
        at = expected.index("tls")
        expected = (
            *expected[:at],
            "tls_context",
            *expected[at:],
        )  # it checks and completes its argument
    if name == "aiohttp":  # its contexts were made when it was imported
        expected = tuple(phase for phase in expected if phase != "tls_context")
    phases = {phase: span for phase, span in connection.setup.items() if phase != "total"}
    assert tuple(phases) == expected
    assert connection.failed_phase == expected[-1]
    total = connection.setup["total"]
    assert (total.start, total.start + total.duration) == pytest.approx(
        (connection.setup_started_at, connection.closed_at), abs=1e-9
    )
    at_last = total.start
    for span in phases.values():
        assert span.start >= at_last
        assert span.duration >= 0
        at_last = span.start + span.duration
    assert at_last <= total.start + total.duration + 1e-9
    if connection.error in ("TimeoutError", "ConnectTimeout", "ReadTimeout"):
        assert phases[expected[-1]].duration >= 0.9 * patience, "the phase that waited took long"
