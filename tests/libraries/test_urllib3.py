"""The facts that the hooks of urllib3 state about setup, waiting, reuse and chains of attempts."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import certifi
import pytest
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import EmptyPoolError, HTTPError, MaxRetryError
from urllib3.util import Retry

from poolscope.facts import now
from poolscope.records import CallSite, Connection
from poolscope.story.live import LIVE
from poolscope.testing import Capture, capture
from stack.running import free_port
from tests.servers import Certificates, Running, Scripted, ServerConfig, in_thread, let_go, scripted
from tests.truth.watching import until

HERE = __file__


@pytest.fixture(scope="module")
def proxy() -> Iterator[Running]:
    with in_thread(ServerConfig("proxy")) as running:
        yield running


def one(captured: Capture) -> Connection:
    (connection,) = captured.connections
    return connection


def phases_are_in_order(connection: Connection) -> bool:
    setup = dict(connection.setup)
    total = setup.pop("total")
    at = total.start
    for phase in sorted(setup.values(), key=lambda phase: phase.start):
        if phase.start < at or phase.duration < 0:
            return False
        at = phase.start + phase.duration
    return at <= total.start + total.duration


def test_setup_of_a_plain_connection(server: Running) -> None:
    with capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", f"http://localhost:{server.port}/fixed")
    connection = one(captured)
    assert set(connection.setup) == {"dns", "connect", "total"}
    assert phases_are_in_order(connection)
    assert connection.attempts in (1, 2)  # localhost may be ::1 first
    assert (connection.via, connection.http_version) == ("direct", "1.1")
    assert (connection.peer_address, connection.peer_port) == ("127.0.0.1", server.port)
    assert connection.local_port in [seen.peer_port for seen in server.log().connections]
    assert connection.opened_by == captured.exchanges[0].id
    assert connection.origin == f"http://localhost:{server.port}"


def test_an_address_needs_no_lookup(server: Running) -> None:
    with capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", server.url("/fixed"))
    assert set(one(captured).setup) == {"connect", "total"}


def test_setup_of_a_tls_connection(tls: Running, certificates: Certificates) -> None:
    with capture() as captured, urllib3.PoolManager(ca_certs=certificates.authority) as http:
        for _ in range(2):
            http.request("GET", tls.url("/fixed"))
    connection = one(captured)
    assert set(connection.setup) == {"dns", "connect", "tls_context", "tls", "total"}
    assert phases_are_in_order(connection)
    assert connection.tls_version == "TLSv1.3"
    assert connection.cipher is not None
    assert connection.cipher.startswith("TLS_")
    assert connection.alpn == "http/1.1"
    assert connection.resumed is False
    assert [e.request_number for e in captured.exchanges] == [1, 2]


def test_a_certificate_that_is_not_trusted(tls: Running) -> None:
    with capture() as captured, urllib3.PoolManager(retries=False) as http, pytest.raises(HTTPError):
        http.request("GET", tls.url("/fixed"))
    connection = one(captured)
    assert connection.failed_phase == "tls"
    assert connection.opened_at is None
    assert connection.error == "SSLCertVerificationError"
    (exchange,) = captured.exchanges
    assert (exchange.connection, exchange.request_number, exchange.reused) == (None, None, None)
    assert exchange.error == "ssl.SSLCertVerificationError"


def test_an_invalid_ca_file(tls: Running, tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")
    with capture() as captured, urllib3.PoolManager(retries=False, ca_certs=str(nonsense)) as http:
        with pytest.raises(HTTPError):
            http.request("GET", tls.url("/fixed"))
    assert one(captured).failed_phase == "tls_context"


def test_a_port_where_nobody_listens() -> None:
    with capture() as captured, urllib3.PoolManager(retries=Retry(1)) as http:
        with pytest.raises(MaxRetryError):
            http.request("GET", f"http://127.0.0.1:{free_port()}/")
    assert [c.failed_phase for c in captured.connections] == ["connect", "connect"]
    assert [c.error for c in captured.connections] == ["ConnectionRefusedError"] * 2
    first, second = captured.exchanges
    assert first.error == "urllib3.exceptions.NewConnectionError"
    assert (second.previous, second.relation) == (first.id, "retry")
    assert first.finished_at is not None
    assert second.started_at is not None
    assert first.finished_at <= second.started_at


def test_a_name_that_does_not_resolve() -> None:
    with capture() as captured, urllib3.PoolManager(retries=False) as http, pytest.raises(HTTPError):
        http.request("GET", "http://no-such-host.invalid/")
    connection = one(captured)
    assert (connection.failed_phase, connection.error) == ("dns", "gaierror")
    assert set(connection.setup) == {"dns", "total"}


def test_time_backing_off_is_no_part_of_the_failed_exchange() -> None:
    retries = Retry(2, backoff_factor=0.15)
    with capture() as captured, urllib3.PoolManager(retries=retries) as http, pytest.raises(MaxRetryError):
        http.request("GET", f"http://127.0.0.1:{free_port()}/")
    _, second, third = captured.exchanges
    assert second.finished_at is not None
    assert third.started_at is not None
    assert third.started_at - second.finished_at >= 0.3, "urllib3 sleeps this long before its second retry"


def test_a_forward_proxy(server: Running, proxy: Running) -> None:
    with capture() as captured, urllib3.ProxyManager(proxy.origin) as http:
        http.request("GET", server.url("/fixed"))
        http.request("GET", server.url("/fixed?x=1"))
    connection = one(captured)
    assert connection.via == "forward"
    assert connection.peer_port == proxy.port
    assert connection.origin == proxy.origin
    assert [e.origin for e in captured.exchanges] == [server.origin] * 2
    assert [e.url for e in captured.exchanges] == [server.url("/fixed"), server.url("/fixed?x=…")]
    assert [e.reused for e in captured.exchanges] == [False, True]
    assert captured.clients[0].kind == "urllib3.ProxyManager"


def test_a_tunnel(tls: Running, proxy: Running, certificates: Certificates) -> None:
    with capture() as captured:
        with urllib3.ProxyManager(proxy.origin, ca_certs=certificates.authority) as http:
            http.request("GET", tls.url("/fixed"))
            http.request("GET", tls.url("/fixed"))
    connection = one(captured)
    assert connection.via == "tunnel"
    assert set(connection.setup) == {"connect", "proxy_tunnel", "tls_context", "tls", "total"}
    assert phases_are_in_order(connection)
    assert connection.origin == tls.origin
    assert connection.peer_port == proxy.port
    assert [e.origin for e in captured.exchanges] == [tls.origin] * 2


def test_a_tunnel_that_is_refused(proxy: Running) -> None:
    with capture() as captured, urllib3.ProxyManager(proxy.origin, retries=False) as http:
        with pytest.raises(HTTPError):
            http.request("GET", "https://refused.test/")
    connection = one(captured)
    assert (connection.failed_phase, connection.origin) == ("proxy_tunnel", "https://refused.test")


@pytest.mark.parametrize("secure", [False, True])
def test_socks(
    server: Running, tls: Running, socks: Running, certificates: Certificates, secure: bool
) -> None:
    from urllib3.contrib.socks import SOCKSProxyManager

    target = tls if secure else server
    url = f"socks5h://user:secret@127.0.0.1:{socks.port}"
    with capture() as captured, SOCKSProxyManager(url, ca_certs=certificates.authority) as http:
        http.request("GET", target.url("/fixed"))
        http.request("GET", target.url("/fixed"))
    connection = one(captured)
    assert connection.via == "socks"
    assert connection.origin == target.origin
    assert connection.peer_port == socks.port
    assert connection.attempts == 1
    assert ("tls" in connection.setup) is secure
    assert "secret" not in repr(captured.connections) + repr(captured.exchanges) + repr(captured.clients)


def test_redirects_and_retries(server: Running) -> None:
    with capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", server.url("/redirect/redirect/fixed"))
        http.request("GET", server.url("/flaky/pm"), retries=Retry(1, status_forcelist=[503]))
    one(captured)
    assert [e.request_number for e in captured.exchanges] == [1, 2, 3, 4, 5]
    assert [e.relation for e in captured.exchanges] == [None, "redirect", "redirect", None, "retry"]
    ids = [e.id for e in captured.exchanges]
    assert [e.previous for e in captured.exchanges] == [None, ids[0], ids[1], None, ids[3]]


def test_redirects_and_retries_of_a_bare_pool(server: Running) -> None:
    with capture() as captured, urllib3.HTTPConnectionPool("127.0.0.1", server.port) as pool:
        pool.request("GET", "/redirect/fixed")
        pool.request("GET", "/flaky/pool", retries=Retry(1, status_forcelist=[503]))
    assert [e.relation for e in captured.exchanges] == [None, "redirect", None, "retry"]
    (client,) = captured.clients
    assert (client.kind, client.requests, client.close_kind) == ("urllib3.HTTPConnectionPool", 4, "close")
    assert {e.client for e in captured.exchanges} == {client.id}


def a_while() -> float:
    """How long it really was."""
    began = now()
    threading.Event().wait(0.06)
    return now() - began


def test_headers_come_before_a_body_that_is_read_at_once() -> None:
    waits: list[float] = []

    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
            until(lambda: [each for each in LIVE.exchanges.values() if each.headers_at is not None])
            waits.append(a_while())
            peer.send(b"body")

    with scripted(script) as server, capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", server.url())
    (exchange,) = captured.exchanges
    times = [exchange.started_at, exchange.sent_at, exchange.headers_at, exchange.finished_at]
    assert times == sorted(times)  # type: ignore[type-var]
    assert exchange.finished_at is not None
    assert exchange.headers_at is not None
    assert exchange.finished_at - exchange.headers_at >= waits[0]


def test_setup_is_no_part_of_sending(server: Running) -> None:
    with capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", server.url("/fixed"))
    (exchange,) = captured.exchanges
    opened = one(captured).opened_at
    assert opened is not None
    assert exchange.sent_at is not None
    assert opened <= exchange.sent_at


def test_waiting_for_a_connection(server: Running) -> None:
    with capture() as captured, urllib3.PoolManager(maxsize=1, block=True) as http:
        first, *others = [
            threading.Thread(target=http.request, args=("GET", server.url(path)))
            for path in ("/held/waited-for", "/fixed", "/fixed")
        ]
        first.start()
        server.settled(lambda log: "/held/waited-for" in [request.path for request in log.requests])
        for thread in others:
            thread.start()
        until(lambda: sum(bool(each.queued) for each in LIVE.exchanges.values()) == 2)
        waited = a_while()
        let_go("/held/waited-for")
        for thread in (first, *others):
            thread.join()
    assert one(captured).requests == 3
    served = sorted(captured.exchanges, key=lambda exchange: exchange.sent_at or 0.0)
    for before, waiting in pairwise(served):
        assert waiting.started_at is not None
        assert waiting.pool_wait is not None
        assert before.finished_at is not None
        assert waiting.sent_at is not None
        got_it = waiting.started_at + waiting.pool_wait
        assert before.finished_at <= got_it <= waiting.sent_at
        assert waiting.pool_wait >= waited
        assert waiting.idle_time is not None
        assert 0 <= waiting.idle_time <= waiting.sent_at - before.finished_at
    (pool,) = captured.pools
    assert (pool.max_connections, pool.max_idle, pool.blocking) == (1, 1, True)


def test_waiting_without_success(server: Running) -> None:
    with capture() as captured:
        pool = urllib3.HTTPConnectionPool("127.0.0.1", server.port, maxsize=1, block=True)
        held = pool.request("GET", "/fixed", preload_content=False)
        with pytest.raises(EmptyPoolError):
            pool.request("GET", "/fixed", pool_timeout=0.05, retries=False)
        held.read()
        pool.close()
    one(captured)
    refused, served = captured.exchanges
    assert refused.error == "urllib3.exceptions.EmptyPoolError"
    assert (refused.connection, refused.reused) == (None, None)
    assert refused.pool_wait is not None
    assert refused.pool_wait >= 0.05
    assert served.pool_wait in (0.0, None)  # None if the machine held this thread up just then


class Interrupted(queue.LifoQueue[Any]):
    """The queue of a pool; something else happens before a thread gets to it."""

    meanwhile: Callable[[], object] | None = None

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            happens()
        return super().get(block, timeout)


class InterruptedPool(urllib3.HTTPConnectionPool):
    QueueCls = Interrupted


def interrupted(server: Running, size: int = 1) -> tuple[InterruptedPool, Interrupted]:
    pool = InterruptedPool("127.0.0.1", server.port, maxsize=size, block=True)
    assert isinstance(pool.pool, Interrupted)
    return pool, pool.pool


def test_a_thread_that_the_machine_holds_up_does_not_wait(server: Running) -> None:
    with capture() as captured:
        pool, slots = interrupted(server)
        for _ in range(2):
            slots.meanwhile = a_while
            pool.request("GET", "/fixed")
        pool.close()
    new, reused = captured.exchanges
    assert new.pool_wait is None, "a new connection does not say since when its slot was free"
    assert reused.pool_wait == 0.0


def in_another_thread(move: Callable[[], object]) -> None:
    thread = threading.Thread(target=move)
    thread.start()
    thread.join()


@pytest.mark.parametrize("size", [1, 2])
def test_a_connection_that_another_thread_takes_first(server: Running, size: int) -> None:
    """It is waited for, unless there is another one: then nobody knows."""
    with capture() as captured:
        pool, slots = interrupted(server, size)
        pool.request("GET", "/fixed")
        slots.meanwhile = lambda: in_another_thread(lambda: pool.request("GET", "/slow/20/quicker"))
        pool.request("GET", "/waits")
        pool.close()
    waiting = next(exchange for exchange in captured.exchanges if "/waits" in (exchange.url or ""))
    if size == 1:
        assert waiting.pool_wait is not None
        assert waiting.pool_wait >= 0.02
    else:
        assert waiting.pool_wait is None


def test_a_wait_in_vain_for_a_connection_that_another_thread_took_first(server: Running) -> None:
    held: list[Any] = []
    with capture() as captured:
        pool, slots = interrupted(server)
        pool.request("GET", "/fixed")
        slots.meanwhile = lambda: in_another_thread(
            lambda: held.append(pool.request("GET", "/size/100000", preload_content=False))
        )
        with pytest.raises(EmptyPoolError):
            pool.request("GET", "/waits", pool_timeout=0.05, retries=False)
        held.pop().read()
        pool.close()
    refused = next(exchange for exchange in captured.exchanges if exchange.error is not None)
    assert refused.pool_wait is not None
    assert refused.pool_wait >= 0.05
    assert refused.holders is not None
    assert len(refused.holders) == 1


def test_idle_time(server: Running) -> None:
    with capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", server.url("/fixed"))
        idle = a_while()
        http.request("GET", server.url("/fixed"))
    first, second = captured.exchanges
    assert first.idle_time is None
    assert first.finished_at is not None
    assert second.idle_time is not None
    assert second.sent_at is not None
    assert idle <= second.idle_time <= second.sent_at - first.finished_at


def test_call_sites(server: Running) -> None:
    def build() -> Any:
        return urllib3.PoolManager()

    def use(http: Any) -> None:
        http.request("GET", server.url("/redirect/fixed"))

    with capture() as captured:
        http = build()
        use(http)
        http.clear()
    (client,) = captured.clients
    assert client.call_site == CallSite(HERE, build.__code__.co_firstlineno + 1, build.__qualname__)
    for exchange in captured.exchanges:
        assert exchange.call_site == CallSite(HERE, use.__code__.co_firstlineno + 1, use.__qualname__)
        assert exchange.thread == threading.get_ident()
    assert client.close_kind == "close"


def test_a_connection_used_without_a_pool(server: Running) -> None:
    with capture() as captured:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
        for _ in range(2):
            connection.request("GET", "/fixed")
            connection.getresponse().read()
        connection.close()
    opened = one(captured)
    assert (opened.requests, opened.close_reason) == (2, "program_close")
    assert [(e.request_number, e.reused, e.body_complete) for e in captured.exchanges] == [
        (1, False, True),
        (2, True, True),
    ]


class UnixConnection(HTTPConnection):
    """Like the packages for unix sockets, it has its own ``connect``."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__("localhost", **options)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class UnixPool(urllib3.HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def _new_conn(self) -> Any:
        return UnixConnection(self.path)


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with in_thread(ServerConfig(uds=path)), capture() as captured, UnixPool(path) as pool:
        for _ in range(2):
            pool.request("GET", "/fixed")
    connection = one(captured)
    assert (connection.via, connection.peer_address) == ("uds", path)
    assert connection.opened_by == captured.exchanges[0].id
    assert connection.close_reason == "client_close"
    assert [(e.request_number, e.reused) for e in captured.exchanges] == [(1, False), (2, True)]


def test_connections_that_connect_in_their_own_way_are_all_seen(tmp_path: Path) -> None:
    path, plain = str(tmp_path / "s"), UnixConnection.connect
    with in_thread(ServerConfig(uds=path)), capture() as captured:
        for _ in range(3):
            with UnixPool(path) as pool:
                for _ in range(5):
                    pool.request("GET", "/fixed")
    assert [(c.via, c.requests, c.close_reason) for c in captured.connections] == [
        ("uds", 5, "client_close")
    ] * 3
    assert all(c.setup["total"].duration > 0 for c in captured.connections)
    assert [e.request_number for e in captured.exchanges] == [1, 2, 3, 4, 5] * 3
    assert [e.reused for e in captured.exchanges] == [False, True, True, True, True] * 3
    assert UnixConnection.connect is plain


def test_what_was_alive_before(server: Running) -> None:
    http = urllib3.PoolManager()
    http.request("GET", server.url("/fixed"))
    with capture() as captured:
        http.request("GET", server.url("/fixed"))
        http.request("GET", server.url("/fixed"))
        http.clear()
    connection = one(captured)
    assert (connection.opened_at, connection.setup, connection.opened_by) == (None, {}, None)
    assert connection.local_port is not None
    assert [e.request_number for e in captured.exchanges] == [None, None]
    assert [e.reused for e in captured.exchanges] == [True, True]
    assert captured.exchanges[0].idle_time is None
    assert captured.exchanges[1].idle_time is not None
    assert captured.clients[0].created_at is None
    assert connection.close_reason is not None


def test_hooks_out_and_in_again(server: Running) -> None:
    with capture():
        http = urllib3.PoolManager()
        http.request("GET", server.url("/fixed"))
    http.request("GET", server.url("/close"))
    http.request("GET", server.url("/fixed"))
    with capture() as captured:
        http.request("GET", server.url("/fixed"))
        http.clear()
    (exchange,) = captured.exchanges
    assert (exchange.request_number, exchange.reused) == (None, True)
    assert one(captured).local_port == server.log().connections[-1].peer_port


def test_an_upload_with_another_answer_as_its_body(server: Running) -> None:
    with capture() as captured, urllib3.PoolManager(maxsize=2) as http:

        def body() -> Iterator[bytes]:
            yield http.request("GET", server.url("/fixed")).data

        http.request("POST", server.url("/fixed"), body=body())
    inner, outer = captured.exchanges
    assert (inner.method, outer.method) == ("GET", "POST")
    assert inner.previous is outer.previous is None
    assert inner.connection != outer.connection


def test_tls_without_a_certificate_check(tls: Running) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    pool = urllib3.HTTPSConnectionPool(
        "localhost", tls.port, ssl_context=context, cert_reqs="CERT_NONE", assert_hostname=False
    )
    with capture() as captured, pytest.warns(urllib3.exceptions.InsecureRequestWarning), pool:
        pool.request("GET", "/fixed")
    assert one(captured).tls_version == "TLSv1.3"


def test_loading_a_context_of_its_own_is_a_managers_cost() -> None:
    with capture() as captured:
        context = ssl.create_default_context(cafile=certifi.where())
        for _ in range(2):
            urllib3.PoolManager(ssl_context=context).clear()
        urllib3.PoolManager().clear()
    first, second, without = captured.clients
    assert first.ca_time is not None
    assert first.ca_time > 0.001
    assert (second.ca_time, without.ca_time) == (0.0, None)
