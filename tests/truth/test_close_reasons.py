"""Every close reason, caused on purpose, on every library and style where it can happen.

tests/test_map.py checks that each has a test with its name.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version

import httpx
import pytest
import urllib3

from tests.servers import Certificates, Scripted, ServerConfig, in_thread, scripted
from tests.truth.probes import ALL, ASYNC, HTTPX, TRY_AGAIN, URLLIB3
from tests.truth.watching import Capture, ends, giving_up, until, watch

pytestmark = pytest.mark.load

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart"

on_all = pytest.mark.parametrize("name", ALL)
on_httpx = pytest.mark.parametrize("name", HTTPX)
on_async = pytest.mark.parametrize("name", ASYNC)
on_ours = pytest.mark.parametrize("name", [*HTTPX, "aiohttp"])
"""Libraries that close connections in use when their client is closed, and support upgrades and keep-alive times."""
on_urllib3 = pytest.mark.parametrize("name", URLLIB3)


@on_all
def test_client_close(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        assert probe.get(server.url("/fixed/1")) is None
        assert probe.get(server.url("/chunked/2")) is None
        probe.close()
    assert ends(captured) == [("client_close", "client")]


@on_ours
def test_client_close_active(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        response = probe.open(server.url("/size/4000000/1"))
        probe.close()
        probe.leave(response)
    assert ends(captured) == [("client_close_active", "client")]


@on_all
def test_server_closed_idle(name: str) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.answer()
            peer.half_close()
            server.reached.set()
            peer.wait_for_close()
        with server.accept() as peer:
            peer.read_head()
            peer.answer()
            peer.wait_for_close()

    with scripted(script) as server, watch(name) as (probe, captured):
        probe.get(server.url("/1"))
        server.wait_for_script()
        assert probe.get(server.url("/2")) is None
        probe.close()
    assert ends(captured) == [("server_closed_idle", "server"), ("client_close", "client")]


@on_ours
def test_keepalive_expired(name: str) -> None:
    with in_thread() as server, watch(name, keepalive_expiry=0.0) as (probe, captured):
        probe.get(server.url("/fixed/1"))
        probe.get(server.url("/fixed/2"))
    # httpx looks also when one comes back, the others when they need a connection.
    second = "keepalive_expired" if name in HTTPX else "client_close"
    assert ends(captured) == [("keepalive_expired", "client"), (second, "client")]


@on_httpx
def test_max_keepalive_surplus(name: str) -> None:
    with in_thread() as server, watch(name, max_idle=1) as (probe, captured):
        one, two = probe.open(server.url("/size/10/1")), probe.open(server.url("/size/10/2"))
        probe.read(one)
        probe.read(two)
        probe.close()
    assert sorted(ends(captured)) == [("client_close", "client"), ("max_keepalive_surplus", "client")]


@on_httpx
def test_evicted_max_connections(name: str) -> None:
    with in_thread() as one, in_thread() as two, watch(name, max_connections=1) as (probe, captured):
        probe.get(one.url("/fixed/1"))
        probe.get(two.url("/fixed/2"))
        probe.close()
    assert ends(captured) == [("evicted_max_connections", "client"), ("client_close", "client")]


def test_closed_under_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """How httpcore's race ends is decided here: https://github.com/encode/httpcore/issues/1110."""

    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            server.reached.set()
            peer.wait_for_close()

    with in_thread() as other, scripted(script) as server, watch("httpx-sync") as (probe, captured):
        # A close in another thread does not wake recv(), so this thread ends by its timeout.
        asked = probe.begin(probe.getting(server.url(), timeout=0.3))
        server.wait_for_script()
        (running,) = probe.client._transport._pool.connections
        monkeypatch.setattr(running, "has_expired", lambda: True)
        assert probe.get(other.url("/fixed/1")) is None
        with pytest.raises(httpx.HTTPError):
            asked.result(10)
        probe.close()
    assert ends(captured) == [("closed_under_request", "client"), ("client_close", "client")]


@on_urllib3
def test_pool_full(name: str) -> None:
    with in_thread() as server, watch(name, max_idle=1) as (probe, captured):
        one, two = probe.open(server.url("/size/10/1")), probe.open(server.url("/size/10/2"))
        probe.read(one)
        probe.read(two)
        probe.close()
        del one, two
    assert sorted(ends(captured)) == [("client_close", "client"), ("pool_full", "client")]
    kept = {connection.close_reason: connection.idle_left for connection in captured.connections}
    assert kept == {"client_close": None, "pool_full": 1}


def test_pool_closed() -> None:

    with in_thread() as server, watch("urllib3") as (_, captured):
        with urllib3.HTTPConnectionPool("127.0.0.1", server.port) as pool:
            response = pool.request("GET", "/size/10/1", preload_content=False)
        assert response.read() == b"x" * 10
    assert ends(captured) == [("pool_closed", "client")]


@on_urllib3
def test_pool_evicted(name: str) -> None:
    with in_thread() as one, in_thread() as two, watch(name, num_pools=1) as (probe, captured):
        probe.get(one.url("/fixed/1"))
        probe.get(two.url("/fixed/2"))
        gc.collect()
        probe.close()
    assert ends(captured) == [("pool_evicted", "client"), ("client_close", "client")]


@on_all
@pytest.mark.parametrize("by", ["server", "client"])
def test_connection_close_header(name: str, by: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        if by == "server":
            probe.get(server.url("/close/1"))
        else:
            probe.get(server.url("/fixed/1"), headers={"Connection": "close"})
            server.settled(lambda log: log.open == 0)
            probe.get(server.url("/fixed/2"), headers={"Connection": "close"})
            server.settled(lambda log: log.open == 0)
    found = ends(captured)
    if by == "server":
        assert found == [("connection_close_header", "server")]
    else:
        # http.client looks only at the answer, so the server closes, because the request asked it to.
        assert found == [("connection_close_header", "client")] * 2


@on_all
def test_http_1_0(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        assert probe.get(server.url("/http10/1")) is None
    assert ends(captured) == [("http_1_0", "server")]


@on_all
def test_response_not_read(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        probe.leave(probe.open(server.url("/size/4000000/1")))  # more than aiohttp reads ahead
    assert ends(captured) == [("response_not_read", "client")]


@on_ours
def test_upgraded(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        response = probe.open(server.url("/switch/1"), {"Connection": "upgrade", "Upgrade": "echo"})
        assert (response.status if name == "aiohttp" else response.status_code) == 101
        probe.leave(response)
    assert ends(captured) == [("upgraded", "client")]


@on_httpx
@pytest.mark.parametrize("tls", [True, False])
def test_http2_goaway(name: str, tls: bool, certificates: Certificates) -> None:
    config = ServerConfig("http2", certificate=certificates.server if tls else None)
    with (
        in_thread(config) as server,
        watch(name, http2=True, trust=certificates.trusting()) as (probe, captured),
    ):
        assert probe.get(server.url("/fixed/1")) is None
        assert probe.get(server.url("/goaway/2")) is None
        assert probe.get(server.url("/fixed/3")) is None
        probe.close()
    assert ends(captured) == [("http2_goaway", "server"), ("client_close", "client")]
    assert [exchange.stream_id for exchange in captured.exchanges] == [1, 3, 1]


@on_all
@pytest.mark.parametrize("reused", [False, True])
def test_server_closed_no_response(name: str, reused: bool) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        if reused:
            probe.get(server.url("/fixed/1"))
        assert probe.get(server.url("/drop/2")) is not None
    attempts = captured.exchanges[reused:]
    assert ends(captured) == [("server_closed_no_response", "server")] * len(attempts)
    assert [attempt.reused for attempt in attempts] == [reused, False][: len(attempts)]
    assert len(attempts) == 1 or name in TRY_AGAIN
    assert [attempt.relation for attempt in attempts[1:]] == ["retry"] * (len(attempts) - 1)


@on_all
def test_server_closed_mid_body(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        failed = probe.get(server.url("/cut/1"))
    # With urllib3 1.26, requests takes the bytes that came for the whole body.
    assert (failed is None) is (name == "requests" and version("urllib3").startswith("1."))
    assert ends(captured) == [("server_closed_mid_body", "server")]


@on_all
def test_server_closed_mid_chunk(name: str) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf")

    with scripted(script) as server, watch(name) as (probe, captured):
        assert probe.get(server.url()) is not None
    assert ends(captured) == [("server_closed_mid_body", "server")]


@on_all
@pytest.mark.parametrize("path", ["/silence/1", "/stall/1"], ids=["before headers", "in the body"])
def test_timeout(name: str, path: str) -> None:
    def attempt(patience: float) -> Capture:
        with in_thread() as server, watch(name) as (probe, captured):
            assert probe.get(server.url(path), timeout=patience) is not None
        return captured

    captured, _ = giving_up(0.1, attempt, Capture.opened)
    assert ends(captured) == [("timeout", "client")]


@on_async
def test_cancelled_before_headers(name: str) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            server.reached.set()
            peer.wait_for_close()
            server.go.set()

    with scripted(script) as server, watch(name) as (probe, captured):
        asked = probe.begin(probe.getting(server.url()))
        server.wait_for_script()
        asked.cancel()
        assert server.go.wait(10)
    assert ends(captured) == [("cancelled", "client")]
    assert captured.exchanges[0].error is not None


@on_async
def test_cancelled_in_the_body(name: str) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.send(HEAD)
            peer.wait_for_close()
            server.go.set()

    with scripted(script) as server, watch(name) as (probe, captured):
        response = probe.open(server.url())
        reading = probe.begin(probe.reading(response))
        reading.cancel()
        assert server.go.wait(10)
    assert ends(captured) == [("cancelled", "client")]


@on_all
def test_reset_before_headers(name: str) -> None:
    tries = 2 if name == "aiohttp" else 1

    def script(server: Scripted) -> None:
        for _ in range(tries):
            peer = server.accept()
            peer.read_head()
            peer.reset()

    with scripted(script) as server, watch(name) as (probe, captured):
        assert probe.get(server.url()) is not None
    assert ends(captured) == [("reset", "network")] * tries


@on_all
def test_reset_in_the_body(name: str) -> None:
    def script(server: Scripted) -> None:
        peer = server.accept()
        peer.read_head()
        peer.send(HEAD)
        server.wait_for_test()
        peer.reset()
        server.reached.set()

    with scripted(script) as server, watch(name) as (probe, captured):
        response = probe.open(server.url())
        server.wait_for_script()
        server.reached.clear()
        server.go.set()
        server.wait_for_script()
        assert probe.read(response) is not None
    assert ends(captured) == [("reset", "network")]


@on_all
@pytest.mark.parametrize(
    "answer",
    [
        b"this is no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n",
    ],
    ids=["head", "chunk"],
)
def test_protocol_error(name: str, answer: bytes) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.send(answer)
            peer.wait_for_close()

    with scripted(script) as server, watch(name) as (probe, captured):
        assert probe.get(server.url()) is not None
    assert ends(captured) == [("protocol_error", "server")]


@on_all
def test_exchange_failed(name: str) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.wait_for_close()

    def body() -> Iterator[bytes]:
        yield b"first"
        raise LookupError("the program's own")

    with scripted(script) as server, watch(name) as (probe, captured):
        raised = "ClientConnectionError" if name == "aiohttp" else "LookupError"
        assert probe.get(server.url(), body=body()) == raised
    assert ends(captured) == [("exchange_failed", "client")]


@pytest.mark.parametrize("name", HTTPX)
def test_program_close_httpx(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        response = probe.open(server.url("/size/10/1"))
        stream = response.extensions["network_stream"]
        probe.run(stream.aclose if name in ASYNC else stream.close)
        probe.leave(response)
    assert ends(captured) == [("program_close", "client")]


@on_urllib3
def test_program_close_urllib3(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        response = probe.open(server.url("/size/10/1"))
        (response.raw if name == "requests" else response).connection.close()
        probe.leave(response)
    assert ends(captured) == [("program_close", "client")]


@on_all
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_gc(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        assert probe.get(server.url("/fixed/1")) is None
        probe.drop()
    assert ends(captured) == [("gc", "gc")]


@on_all
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_gc_active(name: str) -> None:
    with in_thread() as server, watch(name) as (probe, captured):
        response = probe.open(server.url("/size/4000000/1"))
        if name == "aiohttp":  # while it reads ahead, its event loop keeps all objects alive
            until(partial(getattr, response.connection.protocol, "_reading_paused"))
        assert response is not None
        del response
        probe.drop()
        # The loop's last task ends after its future, and holds the answer until then.
        until(lambda: gc.collect() >= 0 and not captured.ledger.snapshot().connections)
    assert ends(captured) == [("gc_active", "gc")]
