"""The facts that the hooks of httpcore and httpcore2 state about a connection's setup, through any proxy."""

from __future__ import annotations

import importlib
import ssl
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from poolscope.testing import capture
from stack.running import free_port
from tests.libraries.httpcore_means import (
    assert_phases,
    on_all,
    on_async,
    on_libraries,
    one,
)
from tests.servers import Certificates, Running, Scripted, ServerConfig, in_thread, scripted
from tests.truth.watching import until, watch


@on_all
def test_a_plain_connection(name: str, server: Running) -> None:
    with watch(name) as (probe, captured):
        for number in range(3):
            assert probe.get(server.url(f"/fixed/{number}")) is None
    connection = one(captured)
    assert (connection.via, connection.attempts, connection.http_version) == ("direct", 1, "1.1")
    assert (connection.peer_address, connection.peer_port) == ("127.0.0.1", server.port)
    assert connection.local_port in {seen.peer_port for seen in server.log().connections}
    assert (connection.tls_version, connection.cipher, connection.alpn) == (None, None, None)
    assert_phases(connection, "connect")
    first, second, third = captured.exchanges
    assert connection.opened_by == first.id
    assert connection.requests == 3
    assert [x.request_number for x in captured.exchanges] == [1, 2, 3]
    assert [x.reused for x in captured.exchanges] == [False, True, True]
    assert [x.joined for x in captured.exchanges] == [False, False, False]
    assert first.idle_time is None
    assert second.finished_at is not None and third.idle_time is not None
    assert 0 <= third.idle_time <= third.sent_at - second.finished_at  # type: ignore[operator]
    assert {x.body_complete for x in captured.exchanges} == {True}
    (pool,) = captured.pools
    assert (pool.max_connections, pool.max_idle, pool.keepalive_expiry, pool.blocking) == (10, 10, 60.0, True)
    assert {x.pool for x in captured.exchanges} == {pool.id} == {connection.pool}
    assert {x.client for x in captured.exchanges} == {pool.client} == {connection.client}


@on_all
def test_tls(name: str, tls: Running, certificates: Certificates) -> None:
    with watch(name, trust=certificates.trusting()) as (probe, captured):
        assert probe.get(tls.url("/fixed/1")) is None
    connection = one(captured)
    assert connection.tls_version in ("TLSv1.2", "TLSv1.3")
    assert connection.cipher
    assert (connection.alpn, connection.resumed, connection.via) == ("http/1.1", False, "direct")
    assert list(connection.setup)[-2:] == ["tls", "total"]
    assert connection.setup["tls"].duration > 0


@on_all
def test_a_forward_proxy(name: str, server: Running, proxy: Running) -> None:
    with watch(name, proxy=f"http://user:secret@127.0.0.1:{proxy.port}") as (probe, captured):
        assert probe.get(server.url("/fixed/1")) is None
        assert probe.get(server.url("/fixed/2")) is None
    connection = one(captured)
    assert (connection.via, connection.origin, connection.peer_port) == ("forward", server.origin, proxy.port)
    assert_phases(connection, "connect")
    assert [x.request_number for x in captured.exchanges] == [1, 2]
    assert "secret" not in repr(captured.connections + captured.exchanges)


@on_all
def test_a_tunnel(name: str, tls: Running, proxy: Running, certificates: Certificates) -> None:
    with watch(name, proxy=f"http://user:secret@127.0.0.1:{proxy.port}", trust=certificates.trusting()) as (
        probe,
        captured,
    ):
        assert probe.get(tls.url("/fixed/1")) is None
        assert probe.get(tls.url("/fixed/2")) is None
    connection = one(captured)
    assert (connection.via, connection.origin, connection.peer_port) == ("tunnel", tls.origin, proxy.port)
    assert_phases(connection, "connect", "proxy_tunnel", "tls")
    assert connection.requests == 2  # CONNECT belongs to the setup
    assert [(x.method, x.request_number) for x in captured.exchanges] == [("GET", 1), ("GET", 2)]
    assert connection.tls_version is not None


@on_all
def test_a_tunnel_refused(name: str, proxy: Running, certificates: Certificates) -> None:
    with watch(name, proxy=f"http://user:secret@127.0.0.1:{proxy.port}") as (probe, captured):
        assert probe.get("https://refused.test/") == "ProxyError"
    connection = one(captured)
    assert (connection.failed_phase, connection.opened_at, connection.error) == (
        "proxy_tunnel", None, "ProxyError",
    )  # fmt: skip
    assert_phases(connection, "connect", "proxy_tunnel")
    (exchange,) = captured.exchanges
    assert (exchange.connection, exchange.request_number, exchange.reused) == (None, None, None)
    assert connection.opened_by == exchange.id
    assert exchange.error in ("httpcore.ProxyError", "httpcore2.ProxyError")


@on_all
@pytest.mark.parametrize("secure", [False, True])
def test_socks(
    name: str, secure: bool, server: Running, tls: Running, socks: Running, certificates: Certificates
) -> None:
    target = tls if secure else server
    with watch(name, proxy=f"socks5://user:secret@127.0.0.1:{socks.port}", trust=certificates.trusting()) as (
        probe,
        captured,
    ):
        assert probe.get(target.url("/fixed/1")) is None
        assert probe.get(target.url("/fixed/2")) is None
    connection = one(captured)
    assert (connection.via, connection.origin, connection.peer_port) == ("socks", target.origin, socks.port)
    assert_phases(connection, "connect", "proxy_tunnel", *(["tls"] if secure else []))
    assert [x.request_number for x in captured.exchanges] == [1, 2]
    assert "secret" not in repr(captured.connections + captured.exchanges)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_unix_socket(library: str, tmp_path: Path) -> None:
    httpx = importlib.import_module(library)
    path = str(tmp_path / "truth.sock")
    with in_thread(ServerConfig(uds=path)), capture() as captured:
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            client.get("http://anything/fixed/1")
    connection = one(captured)
    assert (connection.via, connection.peer_address, connection.origin) == ("uds", path, "http://anything")
    assert_phases(connection, "connect")


@on_all
def test_nobody_listens(name: str) -> None:
    with watch(name) as (probe, captured):
        assert probe.get(f"http://127.0.0.1:{free_port()}/") == "ConnectError"
    connection = one(captured)
    assert (connection.failed_phase, connection.opened_at, connection.error) == (
        "connect", None, "ConnectError",
    )  # fmt: skip
    assert connection.close_reason is None
    (exchange,) = captured.exchanges
    assert exchange.connection is None
    assert exchange.pool_wait is not None


@on_all
def test_an_untrusted_certificate(name: str, tls: Running) -> None:
    with watch(name, trust=ssl.create_default_context()) as (probe, captured):
        assert probe.get(tls.url("/fixed/1")) == "ConnectError"
    connection = one(captured)
    assert (connection.failed_phase, connection.opened_at) == ("tls", None)
    assert connection.closed_at is not None
    assert captured.exchanges[0].connection is None


@on_async
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_cancelled_in_the_handshake(name: str, certificates: Certificates) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.sock.recv(1)  # the client's hello, and no answer
            server.reached.set()
            peer.wait_for_close()

    with scripted(script) as server, watch(name, trust=certificates.trusting()) as (probe, captured):
        asked = probe.begin(probe.getting(server.url("/", "https")))
        server.wait_for_script()
        asked.cancel()
        with pytest.raises(CancelledError):
            asked.result(10)
        until(lambda: captured.settle() is None and captured.exchanges)  # its task ends after its future
        probe.drop()  # the library leaves the socket to the garbage collector
    connection = one(captured)
    assert (connection.failed_phase, connection.opened_at) == ("tls", None)
    assert connection.error in ("CancelledError", "Cancelled")


@on_libraries
def test_a_retried_connect_is_one_setup(library: str) -> None:
    httpcore = importlib.import_module(library)
    with capture() as captured, httpcore.ConnectionPool(retries=1) as pool:
        with pytest.raises(httpcore.ConnectError):
            pool.request("GET", f"http://127.0.0.1:{free_port()}/")
    connection = one(captured)
    assert (connection.attempts, connection.failed_phase) == (2, "connect")


@on_libraries
def test_certificates_loaded_during_setup_are_a_phase(
    library: str, tls: Running, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpcore = importlib.import_module(library)
    connections = importlib.import_module(f"{library}._sync.connection")
    monkeypatch.setattr(connections, "default_ssl_context", certificates.trusting)
    with capture() as captured, httpcore.ConnectionPool() as pool:
        pool.request("GET", tls.url("/fixed/1"))
    connection = one(captured)
    assert [name for name in connection.setup if name != "dns"] == ["connect", "tls_context", "tls", "total"]
    assert connection.setup["tls_context"].duration > 0
