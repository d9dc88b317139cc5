"""What the program must not notice of httpcore's hooks, and how they treat what existed before them."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore
import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

import poolscope
from poolscope.instrumentor import observe
from poolscope.ledger import Ledger
from poolscope.libraries import callsite
from poolscope.libraries.httpcore import is_pool, observe_pool
from poolscope.queue import FACTS
from poolscope.story.door import ENTRANCE
from poolscope.testing import capture
from stack.running import free_port
from tests.compat.alike import without_addresses
from tests.libraries.httpcore_means import (
    on_all,
    on_async,
    on_libraries,
    one,
    pool_of,
)
from tests.servers import Running, Scripted, scripted
from tests.truth.probes import HTTPX, PROBES, Options
from tests.truth.watching import until, watch


@on_all
def test_a_connection_that_was_open_before(name: str, server: Running) -> None:
    with PROBES[name]() as probe:
        probe.build(Options())
        probe.get(server.url("/fixed/1"))
        for _ in range(2):  # hooks are installed, removed, and installed again
            with capture() as captured:
                assert probe.get(server.url("/fixed/2")) is None
                assert probe.get(server.url("/fixed/3")) is None
            connection = one(captured)
            assert (connection.opened_at, connection.setup_started_at, connection.opened_by) == (None,) * 3
            assert (connection.attempts, connection.setup) == (None, {})
            assert connection.peer_port == server.port
            assert connection.requests == 2
            assert [x.request_number for x in captured.exchanges] == [None, None]
            assert [x.reused for x in captured.exchanges] == [True, True]
            assert captured.exchanges[0].idle_time is None
            assert captured.exchanges[1].idle_time is not None
            assert [(c.created_at, c.requests) for c in captured.clients] == [(None, 2)]
        with capture() as captured:
            probe.get(server.url("/fixed/4"))
            probe.close()
        assert one(captured).close_reason == "client_close"
        assert [c.close_kind for c in captured.clients] == ["close"]


@on_libraries
@pytest.mark.parametrize("first", ["traced", "instrumented"])
def test_one_pool_traced_alone_and_together(library: str, first: str, server: Running) -> None:
    httpcore = importlib.import_module(library)
    records: list[Any] = []
    ledger = Ledger(records.append)
    with httpcore.ConnectionPool() as pool, httpcore.ConnectionPool() as other:
        FACTS.add_consumer(ledger.consume)
        try:
            observe(library)
            observe_pool(pool)
            observe_pool(pool)
            other.request("GET", server.url("/fixed/0"))
            pool.request("GET", server.url("/fixed/1"))
            FACTS.settle()
            assert [type(r).__name__ for r in records].count("Exchange") == 1
            with capture() as captured:
                if first == "instrumented":
                    observe_pool(pool)
                pool.request("GET", server.url("/fixed/2"))
            pool.request("GET", server.url("/fixed/3"))
            FACTS.settle()
        finally:
            FACTS.remove_consumer(ledger.consume)
            poolscope.uninstrument()
    exchanges = [r for r in records if type(r).__name__ == "Exchange"]
    assert [x.request_number for x in exchanges] == [1, 2, 3]
    assert len({x.connection for x in exchanges}) == 1
    assert [x.request_number for x in captured.exchanges] == [2]
    assert repr(type(pool)) == repr(httpcore.ConnectionPool)
    assert isinstance(pool, httpcore.ConnectionPool)


def test_pools_are_known_by_their_class() -> None:
    assert not is_pool(object())
    with httpcore.HTTPProxy("http://127.0.0.1:1") as pool:
        assert is_pool(pool)


@on_libraries
def test_a_stream_closed_while_another_thread_reads_from_it(library: str) -> None:
    httpcore = importlib.import_module(library)

    def script(peers: Scripted) -> None:
        with peers.accept() as peer:
            peer.read_head()
            peers.reached.set()
            peer.wait_for_close()

    outcomes: list[Any] = []

    def ask() -> None:
        try:
            outcomes.append(pool.request("GET", server.url()).status)
        except Exception as error:
            outcomes.append(error)

    with scripted(script) as server, capture() as captured, httpcore.ConnectionPool() as pool:
        thread = threading.Thread(target=ask)
        thread.start()
        server.wait_for_script()
        (connection,) = pool.connections
        stream = connection._connection._network_stream
        with stream._sock.dup() as same:
            stream.close()
            same.shutdown(socket.SHUT_RDWR)  # which wakes the reader, as the close did not
        thread.join()
    (outcome,) = outcomes
    assert isinstance(
        outcome, httpcore.RemoteProtocolError | httpcore.ReadError
    )  # whether it is in recv() yet
    assert captured.ledger.hook_failures == 0


@on_libraries
@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_RDWR], ids=["reading", "both"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"])
def test_the_program_shuts_down_the_socket(library: str, sent: bytes, how: int) -> None:
    """So a thread is woken that waits for an answer; the end that it reads is not the server's."""
    httpcore = importlib.import_module(library)

    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.send(sent)
            server.wait_for_test()

    def ask() -> None:
        with pytest.raises(httpcore.RemoteProtocolError):
            pool.request("GET", server.url())

    with (
        scripted(script) as server,
        capture() as captured,
        httpcore.ConnectionPool() as pool,
        ThreadPoolExecutor(1) as threads,
    ):
        asked = threads.submit(ask)
        server.wait_for_script()
        (connection,) = pool.connections
        connection._connection._network_stream.get_extra_info("socket").shutdown(how)
        asked.result(10)
    assert (captured.connections[0].close_reason, captured.connections[0].closed_by) == (
        "program_close",
        "client",
    )


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_lock_held_at_a_fork_does_not_stop_the_child(server: Running) -> None:
    from poolscope.libraries.httpcore.pool import Looking

    with capture(), httpcore.ConnectionPool() as pool:
        pool.request("GET", server.url("/fixed"))
        held, let_go = threading.Event(), threading.Event()

        def look_slowly() -> None:
            with Looking.lock:
                held.set()
                let_go.wait(30)

        thread = threading.Thread(target=look_slowly)
        thread.start()
        held.wait(30)
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # ends a child that would wait for ever
            try:
                with httpcore.ConnectionPool() as another:
                    another.request("GET", server.url("/fixed"))
                pool.close()
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        let_go.set()
        thread.join()
    assert status == 0


def test_a_library_that_is_imported_anew(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "httpcore"]:
        monkeypatch.delitem(sys.modules, name)
    with capture() as captured:
        anew = importlib.import_module("httpcore")
        assert anew is not httpcore
        for each in (httpcore, anew):
            with each.ConnectionPool() as pool:
                pool.request("GET", server.url("/fixed"))
    assert [x.request_number for x in captured.exchanges][-1:] == [1]
    assert captured.ledger.hook_failures == 0


@on_libraries
def test_uninstrument_leaves_nothing_behind(library: str) -> None:
    httpcore = importlib.import_module(library)
    owners = [
        getattr(httpcore, prefix + name)
        for prefix in ("", "Async")
        for name in ("ConnectionPool", "HTTP11Connection", "HTTP2Connection")
    ]
    before = [dict(vars(owner)) for owner in owners]
    lookup = socket.getaddrinfo
    with capture():
        assert [dict(vars(owner)) for owner in owners] != before
        assert socket.getaddrinfo is not lookup
    assert [dict(vars(owner)) for owner in owners] == before
    assert socket.getaddrinfo is lookup


@on_libraries
def test_objects_look_as_without_us(library: str, server: Running) -> None:
    httpcore = importlib.import_module(library)

    def look() -> list[str]:
        seen = []
        with httpcore.ConnectionPool() as pool:
            with pool.stream("GET", server.url("/fixed/1")) as response:
                stream = response.extensions["network_stream"]
                seen += [repr(pool), repr(pool.connections), repr(response), str(type(stream))]
                seen += [str(type(response.stream)), type(pool.connections[0]).__qualname__]
                seen += [str(isinstance(pool.connections[0], httpcore.HTTPConnection))]
                response.read()
            seen += [repr(pool), repr(pool.connections)]
        return [without_addresses(text) for text in seen]

    bare = look()
    with capture():
        assert look() == bare


@on_all
@pytest.mark.parametrize("path", ["/drop/1", "/cut/1", "/silence/1", "closed port", "bad scheme", "h11"])
def test_no_frame_of_ours_in_a_traceback(name: str, path: str, server: Running) -> None:
    url = f"http://127.0.0.1:{free_port()}/" if path == "closed port" else server.url(path)
    options: dict[str, Any] = {"timeout": 0.1}
    if path == "bad scheme":
        url = "gopher://127.0.0.1/"
    if path == "h11":
        url, options = server.url("/fixed/1"), {"headers": {"bad name": "x"}}
    with watch(name) as (probe, captured), pytest.raises(Exception) as raised:
        probe.run(probe.getting(url, **options))
    assert captured.exchanges
    assert not frames_of_ours(raised.value)


def frames_of_ours(error: BaseException | None) -> list[str]:
    found: list[str] = []
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            file = traceback.tb_frame.f_code.co_filename
            if file.startswith(callsite.OWN):
                found.append(f"{file}:{traceback.tb_lineno}")
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__
    return found


@on_async
def test_no_frame_of_ours_after_a_cancel(name: str, server: Running) -> None:
    errors: list[BaseException] = []

    async def ask() -> None:
        try:
            await probe.client.get(server.url("/silence/1"))
        except BaseException as error:
            errors.append(error)
            raise

    with watch(name) as (probe, captured):
        asked = probe.begin(ask)
        server.settled(lambda log: any(r.path == "/silence/1" and not r.answered_at for r in log.requests))
        until(lambda: pool_of(probe)._requests)
        asked.cancel()
        until(lambda: errors)
    assert not frames_of_ours(errors[0])
    assert captured.exchanges[0].error is not None


@on_libraries
def test_a_callers_request_object_is_not_touched(library: str, server: Running) -> None:
    httpcore = importlib.import_module(library)
    door = Propagating()
    extensions: dict[str, Any] = {}
    request = httpcore.Request(
        "GET",
        server.url("/fixed/1"),
        headers=[(b"Host", b"x"), (b"Traceparent", b"old")],
        extensions=extensions,
    )
    headers, before = request.headers, dict(vars(request))
    sent: list[Any] = []
    with capture(), httpcore.ConnectionPool() as pool:
        ENTRANCE.door = door
        try:
            extensions["trace"] = lambda event, info: sent.append(info.get("request"))
            pool.handle_request(request).close()
        finally:
            ENTRANCE.door = None
    assert (vars(request), request.headers) == (before, headers)
    assert extensions.keys() == {"trace"}
    travelled = next(r for r in sent if r is not None)
    assert travelled.headers == [(b"Host", b"x"), (b"traceparent", b"00-new")]
    assert door.seen == ["started", "setup", "headers"]


class Propagating:
    """A door that adds a header, and remembers the order of its calls."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def request_started(self, exchange: Any, request: Any) -> list[tuple[str, str]]:
        self.seen.append("started")
        assert exchange.connection is None
        return [("traceparent", "00-new")]

    def setup_ended(self, connection: Any, exchange: Any) -> None:
        self.seen.append("setup")
        assert connection.opened_by == exchange.id
        assert connection.opened_at is not None or connection.failed_phase is not None

    def headers_received(self, exchange: Any, response: Any) -> None:
        self.seen.append("headers")
        assert exchange.connection is not None
        assert exchange.status == response.status

    def request_failed(self, exchange: Any, error: BaseException) -> None:
        self.seen.append("failed")
        assert type(error).__name__ in exchange.error


@on_all
def test_the_door_hears_of_failures(name: str) -> None:
    door = Propagating()
    with watch(name) as (probe, _):
        ENTRANCE.door = door
        try:
            probe.get(f"http://127.0.0.1:{free_port()}/")
        finally:
            ENTRANCE.door = None
    assert door.seen == ["started", "setup", "failed"]


@on_all
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_suppressed_requests_and_their_connections_are_silent(name: str, server: Running) -> None:
    with watch(name) as (probe, captured):
        with suppress_instrumentation():
            probe.get(server.url("/fixed/1"))
        probe.drop()
        captured.settle()
        assert (captured.connections, captured.exchanges, captured.pools) == ([], [], [])
    gc.collect()  # a task ends after its future: it may have held the client until its loop was closed


@pytest.mark.parametrize("name", HTTPX)
def test_a_new_block_while_a_request_connects_knows_its_connection_once(name: str, server: Running) -> None:
    """A request of an earlier block goes on in the next."""
    first, second = capture(), capture()

    def between(event: str, _info: Any) -> None:
        if event == "connection.connect_tcp.started":
            first.__exit__(None, None, None)
            second.__enter__()

    async def asynchronously(event: str, info: Any) -> None:
        between(event, info)

    with PROBES[name]() as probe:
        probe.build(Options())
        first.__enter__()
        trace = asynchronously if "async" in probe.tags else between
        probe.run(lambda: probe.client.get(server.url("/fixed/1"), extensions={"trace": trace}))
        probe.get(server.url("/fixed/2"))
        probe.close()
        second.__exit__(None, None, None)
    (connection,) = second.connections
    (exchange,) = second.exchanges
    assert (exchange.connection, exchange.request_number, exchange.reused) == (connection.id, None, True)
