"""The facts that the hooks of httpcore and httpcore2 state about exchanges: waiting, sharing, failing, ending."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from time import sleep

import anyio
import pytest

from poolscope.facts import now
from poolscope.story.live import LIVE
from tests.libraries.httpcore_means import (
    on_all,
    on_async,
    one,
    pool_of,
)
from tests.servers import Certificates, Running, ServerConfig, in_thread, let_go
from tests.truth.watching import until, watch

WAIT = 0.05
"""Seconds for which somebody certainly waits."""


@pytest.fixture(scope="module")
def http2(certificates: Certificates) -> Iterator[Running]:
    with in_thread(ServerConfig("http2", certificate=certificates.server)) as running:
        yield running


@on_all
def test_a_full_pool_makes_wait(name: str, server: Running) -> None:
    with watch(name, max_connections=1) as (probe, captured):
        held = probe.open(server.url("/size/400000/1"))
        asked = probe.begin(probe.getting(server.url("/fixed/2")))
        until(lambda: len(pool_of(probe)._requests) == 2)
        probe.leave(held)
        asked.result(10)
    waited = next(x for x in captured.exchanges if x.url and x.url.endswith("/fixed/2"))
    left = next(x for x in captured.exchanges if x is not waited)
    assert waited.pool_wait is not None and left.finished_at is not None
    assert waited.pool_wait >= left.finished_at - waited.started_at  # type: ignore[operator]
    (connection, *_) = captured.connections
    assert left.started_at is not None and connection.setup_started_at is not None
    assert left.pool_wait == 0.0
    assert waited.pool_wait > 0.0


@on_all
def test_nothing_was_free_in_time(name: str, server: Running) -> None:
    with watch(name, max_connections=1) as (probe, captured):
        held = probe.open(server.url("/size/400000/1"))
        assert probe.get(server.url("/fixed/2"), timeout=0.05) == "PoolTimeout"
        probe.leave(held)
    timed_out = next(x for x in captured.exchanges if x.error)
    assert timed_out.error in ("httpcore.PoolTimeout", "httpcore2.PoolTimeout")
    assert (timed_out.connection, timed_out.request_number, timed_out.reused) == (None, None, None)
    assert timed_out.pool_wait is not None and timed_out.pool_wait >= 0.05
    assert timed_out.origin == server.origin
    assert len(captured.connections) == 1


@on_async
def test_cancelled_while_waiting(name: str, server: Running) -> None:
    with watch(name, max_connections=1) as (probe, captured):
        held = probe.open(server.url("/size/400000/1"))
        asked = probe.begin(probe.getting(server.url("/fixed/2")))
        until(lambda: len(pool_of(probe)._requests) == 2)
        asked.cancel()
        until(lambda: len(pool_of(probe)._requests) == 1)
        probe.leave(held)
    cancelled = next(x for x in captured.exchanges if x.error)
    assert cancelled.error in ("asyncio.exceptions.CancelledError", "trio.Cancelled")
    assert (cancelled.connection, cancelled.sent_at, cancelled.status) == (None, None, None)


@on_all
def test_streams_share_a_connection(name: str, http2: Running, certificates: Certificates) -> None:
    with watch(name, http2=True, trust=certificates.trusting()) as (probe, captured):
        for number in range(3):
            assert probe.get(http2.url(f"/fixed/{number}")) is None
    connection = one(captured)
    assert (connection.http_version, connection.alpn, connection.requests) == ("2", "h2", 3)
    assert [(x.stream_id, x.request_number) for x in captured.exchanges] == [(1, 1), (3, 2), (5, 3)]
    assert [(x.reused, x.joined) for x in captured.exchanges] == [
        (False, False), (True, False), (True, False),
    ]  # fmt: skip
    assert captured.exchanges[1].idle_time is not None
    assert {x.body_complete for x in captured.exchanges} == {True}
    for exchange in captured.exchanges:
        assert exchange.started_at <= exchange.sent_at <= exchange.headers_at  # type: ignore[operator]


@on_async
def test_who_waits_for_anothers_setup_joins(name: str, certificates: Certificates) -> None:
    """HTTP/2 over TLS: a second request gets a connection while its handshake is still running."""
    with in_thread(ServerConfig("http2", certificate=certificates.server)) as server:
        with watch(name, http2=True, trust=certificates.trusting()) as (probe, captured):

            async def ask_all_at_once() -> None:
                async with anyio.create_task_group() as group:
                    for number in range(5):
                        group.start_soon(probe.getting(server.url(f"/slow/20/{number}")))

            probe.run(ask_all_at_once)
        seen = server.log()
    connection = one(captured)
    assert seen.accepts == 1
    opener = next(x for x in captured.exchanges if x.id == connection.opened_by)
    assert (opener.joined, opener.reused) == (False, False)
    for exchange in captured.exchanges:
        if exchange is not opener:
            late = exchange.started_at > connection.opened_at  # type: ignore[operator]
            assert (exchange.joined, exchange.reused) == (not late, late)
    assert any(x.joined for x in captured.exchanges)
    paths = {x.stream_id: x.url for x in captured.exchanges}
    assert {r.stream_id: server.url(r.path) for r in seen.requests} == paths
    assert sorted(x.request_number or 0 for x in captured.exchanges) == [1, 2, 3, 4, 5]


@on_async
@pytest.mark.parametrize("given_up", [False, True])
def test_waiting_for_a_stream_is_waiting(name: str, given_up: bool, certificates: Certificates) -> None:
    """HTTP/2: the connection is available at once, and serves as many requests as the server allows."""
    with in_thread(ServerConfig("http2", certificate=certificates.server, streams=1)) as server:
        with watch(name, http2=True, trust=certificates.trusting()) as (probe, captured):
            assert probe.get(server.url("/fixed/1")) is None
            path = f"/held/{name}/{given_up}"
            first = probe.begin(probe.getting(server.url(path)))
            server.settled(lambda log: any(r.path == path for r in log.requests))
            second = probe.begin(probe.getting(server.url("/fixed/3")))
            until(lambda: [x.queued for x in LIVE.exchanges.values()] == [False, True])
            began = now()
            sleep(WAIT)
            time = now() - began
            if given_up:
                second.cancel()
                until(lambda: len(LIVE.exchanges) == 1)
            let_go(path)
            first.result(10)
            until(lambda: not LIVE.exchanges)
    waited = next(x for x in captured.exchanges if x.url and x.url.endswith("/fixed/3"))
    others = [x for x in captured.exchanges if x is not waited]
    assert waited.pool_wait is not None and waited.pool_wait >= time
    assert [x.pool_wait for x in others] == [0.0, 0.0]
    assert [x.waited_for for x in (waited, *others)] == ["stream", None, None]
    if given_up:
        assert (waited.connection, waited.stream_id) == (None, None)
        assert waited.started_at + waited.pool_wait <= waited.finished_at + 1e-9  # type: ignore[operator]
    else:
        assert waited.stream_id == 5


@on_async
def test_all_that_wait_for_a_stream_are_seen_to_wait(name: str, certificates: Certificates) -> None:
    """They ask at the same time, when the connection still has streams."""
    allowed, asked = 2, 6
    with in_thread(ServerConfig("http2", certificate=certificates.server, streams=allowed)) as server:
        with watch(name, http2=True, trust=certificates.trusting()) as (probe, captured):

            async def ask_all_at_once() -> None:
                async with anyio.create_task_group() as group:
                    for path in paths:
                        group.start_soon(probe.getting(server.url(path)))

            paths = [f"/held/{name}/{number}" for number in range(asked)]
            assert probe.get(server.url("/fixed/1")) is None
            asking = probe.begin(ask_all_at_once)
            until(
                lambda: sum(x.stream_asked_at is not None for x in LIVE.exchanges.values()) == asked - allowed
            )
            began = now()
            sleep(WAIT)
            time = now() - began
            until(lambda: [let_go(path) for path in paths] and asking.done())  # once each has arrived
            asking.result(10)
    waited = [x for x in captured.exchanges if x.waited_for is not None]
    assert [x.waited_for for x in waited] == ["stream"] * (asked - allowed)
    for exchange in waited:
        assert exchange.pool_wait >= time  # type: ignore[operator]


@on_async
def test_a_wait_for_a_connection_is_none_for_a_stream(name: str, server: Running) -> None:
    with watch(name, max_connections=1) as (probe, captured):
        held = probe.open(server.url("/size/400000/1"))
        asked = probe.begin(probe.getting(server.url("/fixed/2")))
        until(lambda: [x.queued for x in LIVE.exchanges.values()] == [False, True])
        probe.read(held)
        asked.result(10)
    assert sorted(str(x.waited_for) for x in captured.exchanges) == ["None", "pool"]


@on_all
@pytest.mark.parametrize(("server_allows", "most"), [(1, 1), (7, 7), (1_000, 100)])
def test_the_limit_of_streams_is_known(
    name: str, server_allows: int, most: int, certificates: Certificates
) -> None:
    """The server's limit, or httpcore's own of 100 if that is lower; HTTP/1.1 has none."""
    with in_thread(ServerConfig("http2", certificate=certificates.server, streams=server_allows)) as server:
        with watch(name, http2=True, trust=certificates.trusting()) as (probe, captured):
            assert probe.get(server.url("/fixed/1")) is None
    assert one(captured).max_streams == most


@on_all
def test_an_unread_stream_costs_no_connection(name: str, http2: Running, certificates: Certificates) -> None:
    with watch(name, http2=True, trust=certificates.trusting()) as (probe, captured):
        probe.leave(probe.open(http2.url("/fixed/1")))
        assert probe.get(http2.url("/rst/2")) == "RemoteProtocolError"
        assert probe.get(http2.url("/fixed/3")) is None
    assert one(captured).close_reason == "client_close"
    assert [x.body_complete for x in captured.exchanges] == [False, None, True]


@on_all
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dropped_answer_ends_its_exchange(name: str, server: Running) -> None:
    with watch(name) as (probe, captured):
        response = probe.open(server.url("/size/4000000/1"))
        assert response.status_code == 200
        del response
        # Its task ends after its future, and holds the answer until then.
        until(lambda: gc.collect() >= 0 and captured.settle() is None and captured.exchanges)
        (exchange,) = captured.exchanges
        assert (exchange.status, exchange.body_complete, exchange.error) == (200, False, None)
        assert exchange.finished_at is not None


@on_all
def test_the_error_of_a_body_is_the_exchanges(name: str, server: Running) -> None:
    with watch(name) as (probe, captured):
        assert probe.get(server.url("/cut/1")) == "RemoteProtocolError"
    (exchange,) = captured.exchanges
    assert exchange.error in ("httpcore.RemoteProtocolError", "httpcore2.RemoteProtocolError")
    assert (exchange.status, exchange.body_complete) == (200, False)


def test_an_error_that_merely_surrounds_a_close_is_not_its_own(server: Running) -> None:
    with watch("httpx-sync") as (probe, captured):
        response = probe.open(server.url("/size/400000/1"))
        try:
            raise LookupError("the program's own")
        except LookupError:
            probe.leave(response)
    assert [(x.error, x.body_complete) for x in captured.exchanges] == [(None, False)]
    assert (one(captured).close_reason, one(captured).error) == ("response_not_read", None)
