"""The servers that judge us are judged first, by clients that count their own connections."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import urllib3

from tests.servers import (
    Certificates,
    Scripted,
    ServerConfig,
    ask_unobserved,
    in_process,
    in_thread,
    scripted,
)


def test_requests_are_numbered_per_connection() -> None:
    with in_process() as server, urllib3.PoolManager() as manager:
        for number in range(3):
            manager.request("GET", server.url(f"/fixed/{number}"))
        manager.request("GET", server.url("/close/3"))
        manager.request("GET", server.url("/chunked/4"))
        log = server.log()
    assert [[r.path for r in c.requests] for c in log.connections] == [
        ["/fixed/0", "/fixed/1", "/fixed/2", "/close/3"],
        ["/chunked/4"],
    ]
    assert [r.number for r in log.connections[0].requests] == [1, 2, 3, 4]
    assert log.connections[0].ended == "server: closed"
    assert all(r.answered_at and r.answered_at >= r.arrived_at for r in log.requests)


def test_the_log_holds_the_clients_port_and_who_closed_first() -> None:
    with in_thread() as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        port = sock.getsockname()[1]
        sock.sendall(b"GET /fixed/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 200")
        assert [(c.peer_port, c.ended) for c in server.log().connections] == [(port, None)]
        sock.close()
        assert server.settled(lambda log: log.open == 0).connections[0].ended == "client"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/reset/1", urllib3.exceptions.ProtocolError),
        ("/cut/1", urllib3.exceptions.ProtocolError),
        ("/drop/1", urllib3.exceptions.ProtocolError),
        ("/garbage/1", urllib3.exceptions.ProtocolError),
        ("/silence/1", urllib3.exceptions.ReadTimeoutError),
        ("/stall/1", urllib3.exceptions.ReadTimeoutError),
    ],
)
def test_failures_are_what_their_path_says(path: str, error: type[Exception]) -> None:
    patience = 0.2 if error is urllib3.exceptions.ReadTimeoutError else 30
    with in_thread() as server, urllib3.PoolManager(retries=False, timeout=patience) as manager:
        with pytest.raises(error):
            manager.request("GET", server.url(path))
        server.settled(lambda log: log.open == 0)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/slow/5/1", 200),
        ("/redirect/fixed/1", 200),
        ("/http10/1", 200),
        ("/empty/1", 204),
        ("/early/1", 413),
    ],
)
def test_answers_are_what_their_path_says(path: str, status: int) -> None:
    with in_thread() as server, urllib3.PoolManager() as manager:
        assert manager.request("GET", server.url(path)).status == status


def test_digest_and_flaky_take_two_exchanges_each() -> None:
    with in_thread() as server, httpx.Client(auth=httpx.DigestAuth("u", "p")) as client:
        assert client.get(server.url("/digest/1")).status_code == 200
        assert [client.get(server.url("/flaky/1")).status_code for _ in range(2)] == [503, 200]
        assert [len(c.requests) for c in server.log().connections] == [4]


def test_a_keep_alive_promise_is_broken_after_so_many_answers() -> None:
    with in_thread(ServerConfig(close_after=2)) as server, urllib3.PoolManager() as manager:
        manager.request("GET", server.url("/fixed/1"))
        manager.request("GET", server.url("/fixed/2"))
        log = server.settled(lambda log: log.open == 0)
    assert log.connections[0].ended == "server: closed while idle"


def test_requests_of_one_path_wait_for_each_other() -> None:
    with in_thread() as server, httpx.Client() as client, ThreadPoolExecutor(2) as threads:
        for _ in range(2):
            waiting = threads.submit(client.get, server.url("/together/2/x"))
            assert client.get(server.url("/fixed")).is_success
            assert not waiting.done()
            ask_unobserved(server.url("/together/2/x"))
            assert waiting.result().is_success


def test_idle_connections_are_closed() -> None:
    with in_thread(ServerConfig(idle_close=0.05)) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
            assert sock.recv(1) == b""
        assert server.log().connections[0].ended == "server: closed while idle"


def test_tls(certificates: Certificates) -> None:
    with in_process(ServerConfig(certificate=certificates.server)) as server:
        with httpx.Client(verify=certificates.trusting()) as client:
            assert client.get(server.url("/fixed/1")).http_version == "HTTP/1.1"
        assert len(server.log().requests) == 1


@pytest.mark.parametrize("tls", [True, False])
def test_http2_streams_share_a_connection(certificates: Certificates, tls: bool) -> None:
    config = ServerConfig("http2", certificate=certificates.server if tls else None)
    verify = certificates.trusting()
    with in_thread(config) as server, httpx.Client(http1=False, http2=True, verify=verify) as client:
        client.get(server.url("/fixed/1"))
        client.get(server.url("/goaway/2"))
        client.get(server.url("/fixed/3"))
        log = server.log()
    assert [[r.stream_id for r in c.requests] for c in log.connections] == [[1, 3], [1]]
    assert log.connections[0].ended == "server: goaway"


def test_proxies_log_what_they_are_asked_for(certificates: Certificates) -> None:
    secret = ("user", "secret")
    tls = ServerConfig(certificate=certificates.server)
    with in_thread() as plain, in_thread(tls) as secure:
        with in_thread(ServerConfig("proxy", credentials=secret)) as proxy:
            url = f"http://user:secret@127.0.0.1:{proxy.port}"
            with httpx.Client(proxy=url, verify=certificates.trusting()) as client:
                assert client.get(plain.url("/fixed/1")).status_code == 200
                assert client.get(secure.url("/fixed/2")).status_code == 200
            asked = [(r.method, r.path) for r in proxy.log().requests]
        with in_thread(ServerConfig("socks", credentials=secret)) as socks:
            with httpx.Client(proxy=f"socks5://user:secret@127.0.0.1:{socks.port}") as client:
                assert client.get(plain.url("/fixed/3")).status_code == 200
            (request,) = socks.log().requests
    assert asked == [("GET", plain.url("/fixed/1")), ("CONNECT", f"localhost:{secure.port}")]
    assert request.path == f"127.0.0.1:{plain.port}"


def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "truth.sock")
    with in_process(ServerConfig(uds=path)) as server:
        with httpx.Client(transport=httpx.HTTPTransport(uds=path)) as client:
            assert client.get("http://anything/fixed/1").text == "ok"
        assert [(c.peer_port, len(c.requests)) for c in server.log().connections] == [(None, 1)]


def test_it_holds_forty_in_flight() -> None:
    with in_process() as server, urllib3.PoolManager(maxsize=40, block=True) as manager:
        paths = [f"/slow/5/{n}" for n in range(200)]
        with ThreadPoolExecutor(40) as threads:
            statuses = list(threads.map(lambda p: manager.request("GET", server.url(p)).status, paths))
        log = server.log()
    assert statuses == [200] * 200
    assert sorted(r.path for r in log.requests) == sorted(paths)
    assert log.accepts <= 40


def test_a_script_meets_its_test_at_events() -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            server.wait_for_test()
            peer.answer(b"after go")

    with scripted(script) as server, urllib3.PoolManager() as manager, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(manager.request, "GET", server.url("/x"))
        server.wait_for_script()
        assert not answer.done()
        server.go.set()
        assert answer.result(5).data == b"after go"
    assert [r.path for r in server.log.requests] == ["/x"]


def test_a_failing_script_fails_its_test() -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.read_head()

    with pytest.raises(ConnectionError, match="the client closed"):
        with scripted(script) as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
