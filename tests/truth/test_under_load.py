"""Truth under load: 16 to 40 exchanges in flight, and not one wrong fact about any of them.

``POOLSCOPE_TRUTH=full`` runs at least 10,000 exchanges per library, and thousands through one client,
TLS and each kind of proxy; the default is a small part of that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

import poolscope.testing
from poolscope.queue import FACTS
from tests.servers import Certificates, ServerConfig, ServerLog, in_process
from tests.truth import judge_http2
from tests.truth.behind_proxies import forwarded, through
from tests.truth.drivers import DRIVERS, Driver, Load
from tests.truth.judge import RACE, Verdict, have_arrived, judge
from tests.truth.watching import LEAVES_SOCKETS
from tests.truth.workload import NO_RESETS, SILENCES, STREAMS, WHOLE_ANSWERS, Mix, jobs

FULL = os.environ.get("POOLSCOPE_TRUTH") == "full"
PER_LIBRARY = 10_000 if FULL else 1_500
WAVE = 500
"""Jobs per client: httpcore loses a slot to some cancellations (encode/httpcore#1093), so no client lives long."""
LONG = 4_000 if FULL else 700
SECURE = 3_000 if FULL else 200
PROXIED = 2_000 if FULL else 150
STREAMED = 3_000 if FULL else 300

on_all = pytest.mark.parametrize("driver", DRIVERS, ids=str)
pytestmark = [pytest.mark.load, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.ERROR, "urllib3")  # one warning for each connection that a full pool discards
    dropped = FACTS.dropped
    yield
    assert FACTS.dropped == dropped


def _load(driver: Driver, origin: str) -> Load:
    return Load(origin, (), 24 if driver.style == "threads" else 40)


def _judged(driver: Driver, captured: poolscope.testing.Capture, log: ServerLog, at_least: float) -> Verdict:
    verdict = judge(captured.connections, captured.exchanges, log)
    assert not verdict.wrong, str(verdict)
    assert verdict.exchanges >= at_least, str(verdict)
    assert not verdict.reasons[RACE] or str(driver) == "httpx-threads"
    live = captured.ledger.snapshot()
    assert (live.connections, live.waiters, live.holders, live.clients) == ((), (), (), ())
    return verdict


def _styles(library: str) -> int:
    return sum(driver.library == library for driver in DRIVERS)


@on_all
@pytest.mark.parametrize("small_pool", [False, True], ids=["ample", "small"])
def test_no_fact_is_wrong(driver: Driver, small_pool: bool) -> None:
    share = PER_LIBRARY // (2 * _styles(driver.library))
    with in_process() as server:
        load = replace(_load(driver, server.origin), small_pool=small_pool)
        with poolscope.testing.capture() as captured:
            for seed, begin in enumerate(range(0, share, WAVE)):
                driver.run(replace(load, jobs=jobs(min(WAVE, share - begin), driver.cancellable, seed)))
        log = server.settled(have_arrived(captured.connections))
    _judged(driver, captured, log, 0.9 * share)


@on_all
def test_one_client_that_lives_long(driver: Driver) -> None:
    """Without cancellations for httpx, which may lose a slot to each for good."""
    cancellable = driver.cancellable and driver.library != "httpx"
    with in_process() as server:
        with poolscope.testing.capture() as captured:
            driver.run(replace(_load(driver, server.origin), jobs=jobs(LONG, cancellable, 1)))
        log = server.settled(have_arrived(captured.connections))
    _judged(driver, captured, log, 0.9 * LONG)
    assert len(captured.clients) == 1
    assert captured.clients[0].requests == len(captured.exchanges)


@on_all
@LEAVES_SOCKETS
def test_over_tls(driver: Driver, certificates: Certificates) -> None:
    with in_process(ServerConfig(certificate=certificates.server)) as server:
        load = replace(_load(driver, server.origin), authority=certificates.authority)
        with poolscope.testing.capture() as captured:
            for seed, begin in enumerate(range(0, SECURE, WAVE)):
                todo = jobs(min(WAVE, SECURE - begin), driver.cancellable, seed)
                driver.run(replace(load, jobs=todo))
        log = server.settled(have_arrived(captured.connections))
    _judged(driver, captured, log, 0.8 * SECURE)
    for connection in captured.connections:
        if connection.opened_at is not None:
            assert connection.tls_version == "TLSv1.3"
            assert "tls" in connection.setup


@on_all
def test_through_a_forward_proxy(driver: Driver) -> None:
    with in_process() as server, in_process(ServerConfig("proxy")) as proxy:
        load = replace(_load(driver, server.origin), proxy=proxy.origin)
        with poolscope.testing.capture() as captured:
            driver.run(replace(load, jobs=jobs(PROXIED, False, 1, WHOLE_ANSWERS)))
        log = proxy.settled(have_arrived(captured.connections))
    _judged(driver, captured, forwarded(log), 0.9 * PROXIED)
    assert {connection.via for connection in captured.connections} == {"forward"}


# aiohttp does not support SOCKS proxies.
TUNNELS = [
    pytest.param(driver, kind, id=f"{kind}-{driver}")
    for driver in DRIVERS
    for kind in ("tunnel", "socks")
    if (driver.library, kind) != ("aiohttp", "socks")
]


@pytest.mark.parametrize(("driver", "kind"), TUNNELS)
@LEAVES_SOCKETS
def test_through_a_tunnel(driver: Driver, kind: str, certificates: Certificates) -> None:
    config = ServerConfig(certificate=certificates.server if kind == "tunnel" else None)
    with (
        in_process(config) as server,
        in_process(ServerConfig("proxy" if kind == "tunnel" else "socks")) as proxy,
    ):
        url = proxy.origin if kind == "tunnel" else f"socks5://127.0.0.1:{proxy.port}"
        load = replace(_load(driver, server.origin), proxy=url, authority=certificates.authority)
        with poolscope.testing.capture() as captured:
            driver.run(replace(load, jobs=jobs(PROXIED, driver.cancellable, 1, NO_RESETS)))
        outer = proxy.settled(have_arrived(captured.connections))
        inner = server.settled(lambda log: log.open == 0)
    _judged(driver, captured, through(outer, inner), 0.8 * PROXIED)
    assert {connection.via for connection in captured.connections} == {kind}


# aiohttp has none. Not in threads: httpcore's synchronous HTTP/2 mixes up their frames, with and without us: one in 100 fails.
on_streams = pytest.mark.parametrize(
    "driver", [driver for driver in DRIVERS if driver.cancellable and driver.library != "aiohttp"], ids=str
)


def _streamed(
    driver: Driver, certificates: Certificates, mix: Mix, close_after: int | None = None
) -> tuple[Verdict, poolscope.testing.Capture]:
    config = ServerConfig("http2", certificate=certificates.server, close_after=close_after)
    with in_process(config) as server:
        load = replace(_load(driver, server.origin), authority=certificates.authority, http2=True)
        with poolscope.testing.capture() as captured:
            driver.run(replace(load, jobs=jobs(STREAMED, False, 1, mix)))
        log = server.settled(have_arrived(captured.connections))
    verdict = judge_http2.judge(captured.connections, captured.exchanges, log)
    assert not verdict.wrong, str(verdict)
    assert verdict.exchanges >= STREAMED, str(verdict)
    return verdict, captured


@on_streams
@pytest.mark.parametrize("sends_goaway", [False, True], ids=["stays", "sends goaway"])
def test_over_http2(driver: Driver, sends_goaway: bool, certificates: Certificates) -> None:
    verdict, captured = _streamed(driver, certificates, STREAMS, 100 if sends_goaway else None)
    assert bool(verdict.reasons["http2_goaway"]) == sends_goaway
    assert max(connection.requests for connection in captured.connections) >= 90


@on_streams
def test_over_http2_with_timeouts(driver: Driver, certificates: Certificates) -> None:
    """Each may end all streams of its connection: when the server has been slow to all of them."""
    _streamed(driver, certificates, STREAMS | SILENCES)
