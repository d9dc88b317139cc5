"""aiohttp: sessions and their lines, waits, lookups and addresses, retries, upgrades, and what stays unchanged."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver

import poolscope
from poolscope.facts import now
from poolscope.libraries.aiohttp import points
from poolscope.libraries.weaver import owner_of
from poolscope.queue import FACTS
from poolscope.story.exchange import CURRENT
from poolscope.story.hook import HOOKS
from poolscope.story.live import LIVE, state_of
from poolscope.testing import Capture, capture
from tests.servers import Running, Scripted, in_thread, let_go, scripted

Session = aiohttp.ClientSession


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture(autouse=True)
def no_hook_failed() -> Iterator[None]:
    yield
    assert not [hook for hook in HOOKS.values() if hook.failures]
    assert CURRENT.get() is None


def line() -> int:
    """Of the caller."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


async def ask(session: Session, url: str, **options: Any) -> None:
    async with session.get(url, **options) as response:
        await response.read()


def captured_by(main: Callable[[], Awaitable[Any]]) -> Capture:
    async def settled() -> None:
        await main()
        await asyncio.sleep(0)

    with capture() as captured:
        asyncio.run(settled())
    return captured


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


# Sessions and lines


def test_a_session_and_its_line(server: Running) -> None:
    lines: list[int] = []

    async def main() -> None:
        async with Session() as session:
            lines.append(line() - 1)
            async with session.get(server.url("/fixed/1")) as response:
                lines.append(line() - 1)
                await response.read()

    captured = captured_by(main)
    (made,) = captured.clients
    assert (made.kind, made.close_kind, made.requests, made.loop is None) == (
        "aiohttp.ClientSession",
        "close",
        1,
        False,
    )
    (exchange,) = captured.exchanges
    assert made.call_site is not None and exchange.call_site is not None
    assert [made.call_site.line, exchange.call_site.line] == lines
    assert {made.call_site.file, exchange.call_site.file} == {__file__}
    assert exchange.task is not None
    (pool,) = captured.pools
    assert (pool.client, pool.max_connections, pool.keepalive_expiry) == (made.id, 100, 15.0)


def test_a_session_for_one_call(server: Running) -> None:
    lines: list[int] = []

    async def main() -> None:
        async with aiohttp.request("GET", server.url("/fixed/1")) as response:
            lines.append(line() - 1)
            await response.read()

    captured = captured_by(main)
    (made,), (exchange,) = captured.clients, captured.exchanges
    assert made.kind == "aiohttp.request"
    assert made.call_site is not None and exchange.call_site is not None
    assert [made.call_site.line, exchange.call_site.line] == lines * 2


def test_calls_that_run_as_tasks_of_their_own_have_their_lines(server: Running) -> None:
    lines: list[int] = []

    async def main() -> None:
        async with Session() as session:
            waiting: list[Any] = [session.get(server.url("/fixed/1"))]
            lines.append(line() - 1)
            waiting.append(session.post(server.url("/fixed/2"), data=b"x"))
            lines.append(line() - 1)
            waiting.append(session.ws_connect(server.url("/fixed/3")))
            lines.append(line() - 1)
            for answer in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(answer, aiohttp.ClientResponse):
                    await answer.read()

    captured = captured_by(main)
    sites = {exchange.url and exchange.url[-1]: exchange.call_site for exchange in captured.exchanges}
    assert [site and site.line for _, site in sorted(sites.items())] == lines


async def one_each(url: str, **options: Any) -> None:
    async with Session(**options) as session:
        await ask(session, url)


def ps101(captured: Capture) -> list[Any]:
    return [finding for finding in captured.findings if finding.code == "PS101"]


def test_a_session_per_request_is_found_at_its_line(server: Running) -> None:
    async def main() -> None:
        for number in range(6):
            await one_each(server.url(f"/fixed/{number}"))

    (finding,) = ps101(captured_by(main))
    lines, first = inspect.getsourcelines(one_each)
    assert finding.call_site is not None
    assert finding.call_site.file == __file__
    assert first < finding.call_site.line < first + len(lines)
    assert "aiohttp.ClientSession" in finding.fix


def of_its_own(what: str, number: int) -> dict[str, Any]:
    if what == "headers":
        return {"headers": {"X-Tenant": str(number)}}
    if what == "cookies":
        return {"cookies": {"session": str(number)}}
    if what == "auth":
        return {"headers": {"Authorization": f"Bearer {number}"}}
    return {"connector": aiohttp.TCPConnector(local_addr=(f"127.0.0.{number + 1}", 0))}


@pytest.mark.parametrize("what", ["headers", "cookies", "auth", "address"])
def test_sessions_that_differ_are_no_waste(server: Running, what: str) -> None:
    async def main() -> None:
        for number in range(6):
            jar = {"cookie_jar": aiohttp.CookieJar(unsafe=True)} if what == "cookies" else {}
            await one_each(server.url(f"/fixed/{number}"), **of_its_own(what, number), **jar)

    assert not ps101(captured_by(main))


def test_one_session_and_one_connector_for_all_are_no_waste(server: Running) -> None:
    async def main() -> None:
        async with Session() as session:
            for number in range(6):
                await ask(session, server.url(f"/fixed/{number}"))
        async with aiohttp.TCPConnector() as connector:
            for number in range(6):
                await one_each(server.url(f"/fixed/{number}"), connector=connector, connector_owner=False)

    captured = captured_by(main)
    assert not ps101(captured)
    assert len(captured.connections) == 2
    assert [connection.requests for connection in captured.connections] == [6, 6]


# Waiting for a connection


@pytest.mark.parametrize("limit", [{"limit": 1}, {"limit_per_host": 1}])
def test_a_wait_for_a_connection(server: Running, limit: dict[str, Any]) -> None:
    async def main() -> None:
        async with Session(connector=aiohttp.TCPConnector(**limit)) as session:
            await asyncio.gather(*(ask(session, server.url(f"/slow/50/{number}")) for number in range(3)))

    captured = captured_by(main)
    assert captured.exchanges[0].pool_wait == 0.0
    for before, waiting in pairwise(captured.exchanges):
        assert waiting.pool_wait is not None and waiting.started_at is not None
        assert before.headers_at is not None
        assert waiting.pool_wait >= before.headers_at - waiting.started_at > 0
    assert [exchange.reused for exchange in captured.exchanges] == [False, True, True]


def test_a_wait_that_is_given_up(server: Running) -> None:
    async def main() -> None:
        async with Session(connector=aiohttp.TCPConnector(limit=1)) as session:
            first = asyncio.create_task(ask(session, server.url("/held/1")))
            await until(lambda: "/held/1" in [request.path for request in server.log().requests])
            with pytest.raises(TimeoutError):
                await ask(session, server.url("/fixed/2"), timeout=aiohttp.ClientTimeout(connect=0.05))
            let_go("/held/1")
            await first

    given_up, _ = captured_by(main).exchanges
    assert (given_up.error, given_up.connection, given_up.reused) == ("TimeoutError", None, None)
    assert given_up.pool_wait is not None and given_up.pool_wait > 0.04


# Setup


class Resolver(AbstractResolver):
    """Resolves names after a delay."""

    def __init__(self, *hosts: str, delay: float = 0.0) -> None:
        self.hosts, self.delay, self.asked = hosts, delay, 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[Any]:
        self.asked += 1
        await asyncio.sleep(self.delay)
        return [
            {"hostname": host, "host": each, "port": port, "family": 0, "proto": 0, "flags": 0}
            for each in self.hosts
        ]

    async def close(self) -> None:
        pass


def test_waiting_for_anothers_lookup_is_a_dns_phase_and_a_cached_name_is_not(
    server: Running,
) -> None:
    resolver = Resolver("127.0.0.1", delay=0.05)

    async def main() -> None:
        async with Session(connector=aiohttp.TCPConnector(resolver=resolver)) as session:
            url = f"http://somewhere.test:{server.port}/slow/20"
            await asyncio.gather(ask(session, f"{url}/1"), ask(session, f"{url}/2"))
            await asyncio.gather(*(ask(session, f"{url}/{number}") for number in (3, 4, 5)))

    captured = captured_by(main)
    assert resolver.asked == 1
    assert [[*connection.setup] for connection in captured.connections] == [
        ["dns", "connect", "total"],
        ["dns", "connect", "total"],
        ["connect", "total"],
    ]
    one, other = (connection.setup["dns"] for connection in captured.connections[:2])
    assert max(one.duration, other.duration) > 0.045
    assert max(one.start, other.start) < min(phase.start + phase.duration for phase in (one, other))


@pytest.mark.parametrize("happy_eyeballs_delay", [0.25, None])
def test_addresses_that_refuse_are_counted(server: Running, happy_eyeballs_delay: float | None) -> None:
    async def main() -> None:
        connector = aiohttp.TCPConnector(
            resolver=Resolver("127.0.0.2", "127.0.0.1"), happy_eyeballs_delay=happy_eyeballs_delay
        )
        async with Session(connector=connector) as session:
            await ask(session, f"http://somewhere.test:{server.port}/fixed/1")

    (connection,) = captured_by(main).connections
    assert (connection.attempts, connection.peer_address) == (2, "127.0.0.1")
    assert [*connection.setup] == ["dns", "connect", "total"]


def test_each_time_limit_of_its_own(server: Running) -> None:
    async def main() -> None:
        async with Session() as session:
            with pytest.raises(TimeoutError):
                await ask(session, server.url("/silence/1"), timeout=aiohttp.ClientTimeout(sock_read=0.05))
            with pytest.raises(TimeoutError):
                await ask(session, server.url("/stall/2"), timeout=aiohttp.ClientTimeout(sock_read=0.05))

    captured = captured_by(main)
    assert {exchange.error for exchange in captured.exchanges} == {
        "aiohttp.client_exceptions.SocketTimeoutError"
    }
    assert [connection.close_reason for connection in captured.connections] == ["timeout"] * 2


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def main() -> None:
        async with served({"/": answers}, unix=path):
            async with Session(connector=aiohttp.UnixConnector(path)) as session:
                await ask(session, "http://localhost/")
                await ask(session, "http://localhost/")

    captured = captured_by(main)
    (connection,) = captured.connections
    assert (connection.via, connection.requests, [*connection.setup]) == ("uds", 2, ["connect", "total"])


def test_a_connector_of_the_programs_own(server: Running) -> None:
    class Mine(aiohttp.TCPConnector):
        async def connect(self, *args: Any, **options: Any) -> Any:
            return await super().connect(*args, **options)

        async def _create_connection(self, *args: Any, **options: Any) -> Any:
            return await super()._create_connection(*args, **options)

    async def main() -> None:
        async with Session(connector=Mine()) as session:
            await ask(session, server.url("/fixed/1"))
            await ask(session, server.url("/fixed/2"))

    captured = captured_by(main)
    assert [exchange.request_number for exchange in captured.exchanges] == [1, 2]
    assert len(captured.connections) == 1


# Exchanges


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def answers(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(text="ok")


@asynccontextmanager
async def served(handlers: dict[str, Handler], unix: str | None = None) -> AsyncIterator[str]:
    """aiohttp's own server, on the client's loop: its connections must not be taken for a client's."""
    app = web.Application(client_max_size=10**8)
    app.add_routes([web.route("*", path, handler) for path, handler in handlers.items()])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0) if unix is None else web.UnixSite(runner, unix)
    await site.start()
    try:
        yield "" if unix else f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_a_silent_retry_is_an_exchange_of_the_same_call() -> None:
    def script(server: Scripted) -> None:
        for answered in (True, False):
            with server.accept() as peer:
                peer.read_head()
                peer.answer()
                if answered:
                    peer.read_head()

    async def main(url: str) -> None:
        async with Session() as session:
            await ask(session, url)
            await ask(session, url)

    with scripted(script) as server:
        captured = captured_by(lambda: main(server.url()))
    first, failed, again = captured.exchanges
    assert (failed.error, failed.reused) == ("aiohttp.client_exceptions.ServerDisconnectedError", True)
    assert (again.relation, again.previous, again.status, again.reused) == ("retry", failed.id, 200, False)
    assert again.call_site == failed.call_site
    assert (first.previous, failed.previous) == (None, None)
    assert captured.connections[0].close_reason == "server_closed_no_response"


def test_a_redirect_is_related(server: Running) -> None:
    async def main() -> None:
        async with Session() as session:
            await ask(session, server.url("/redirect/fixed/1"))

    first, second = captured_by(main).exchanges
    assert (first.status, second.relation, second.previous) == (302, "redirect", first.id)


def test_a_websocket_is_in_progress_until_it_is_closed() -> None:
    async def talks(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    async def main() -> None:
        async with served({"/": talks}) as url, Session() as session:
            async with session.ws_connect(f"{url}/") as socket:
                await socket.send_str("hello")
                assert (await socket.receive()).data == "hello"
                (exchange,) = LIVE.exchanges.values()
                assert (state_of(exchange), exchange.status) == ("reading", 101)

    captured = captured_by(main)
    (exchange,), (connection,) = captured.exchanges, captured.connections
    assert (exchange.status, exchange.body_complete, exchange.error) == (101, None, None)
    assert connection.close_reason == "upgraded"


def test_a_websocket_that_the_server_ends() -> None:
    async def hangs_up(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert request.transport is not None
        request.transport.abort()
        return socket

    async def main() -> None:
        async with served({"/": hangs_up}) as url, Session() as session:
            async with session.ws_connect(f"{url}/") as socket:
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSED

    captured = captured_by(main)
    (exchange,), (connection,) = captured.exchanges, captured.connections
    assert (exchange.status, exchange.body_complete, exchange.error) == (101, None, None)
    assert (connection.close_reason, connection.closed_by) == ("upgraded", "server")


@pytest.mark.parametrize("how", ["close", "abort"])
def test_the_program_closes_the_transport(server: Running, how: str) -> None:
    async def main() -> None:
        async with Session() as session, session.get(server.url("/stall/1")) as response:
            assert response.connection is not None
            getattr(response.connection.transport, how)()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

    captured = captured_by(main)
    (exchange,), (connection,) = captured.exchanges, captured.connections
    assert (exchange.status, exchange.body_complete) == (200, False)
    assert (connection.close_reason, connection.closed_by) == ("program_close", "client")


def test_the_program_closes_the_transport_of_an_idle_connection(server: Running) -> None:
    async def main() -> None:
        async with Session() as session:
            await ask(session, server.url("/fixed/1"))
            ((idle, *_),) = getattr(session.connector, "_conns").values()
            idle[0].transport.close()
            await ask(session, server.url("/fixed/2"))

    first, second = captured_by(main).connections
    assert (first.close_reason, first.closed_by) == ("program_close", "client")
    assert (second.close_reason, second.requests) == ("client_close", 1)


def test_what_cannot_be_read_on_an_idle_connection_is_the_servers_end_of_it() -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.answer()
            server.wait_for_test()
            peer.send(b"\0garbage\r\n\r\n")
            peer.wait_for_close()

    async def main(server: Scripted) -> None:
        async with Session() as session:
            await ask(session, server.url())
            ((idle, *_),) = getattr(session.connector, "_conns").values()
            server.go.set()
            while idle[0].is_connected():
                await asyncio.sleep(0.01)

    with scripted(script) as server:
        (connection,) = captured_by(lambda: main(server)).connections
    assert (connection.close_reason, connection.closed_by) == ("server_closed_idle", "server")


@pytest.mark.parametrize("early", [False, True], ids=["answer after", "answer before the end"])
def test_an_upload_is_sent_when_its_last_byte_is_written(early: bool) -> None:
    async def takes(request: web.Request) -> web.StreamResponse:
        if early:
            response = web.StreamResponse()
            await response.prepare(request)
            await request.read()
            return response
        await request.read()
        return web.Response(text="ok")

    async def body(answered: asyncio.Event) -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 100_000
            await asyncio.sleep(0.02)
        if early:
            await answered.wait()

    async def main() -> None:
        answered = asyncio.Event()
        async with served({"/": takes}) as url, Session() as session:
            async with session.post(f"{url}/", data=body(answered)) as response:
                answered.set()
                await response.read()

    (exchange,) = captured_by(main).exchanges
    assert exchange.started_at is not None and exchange.headers_at is not None
    if early:
        assert exchange.sent_at is None  # the answer did not wait for it
    else:
        assert exchange.sent_at is not None
        assert exchange.started_at + 0.07 < exchange.sent_at <= exchange.headers_at


def test_interim_and_empty_answers(server: Running) -> None:
    async def main() -> None:
        async with served({"/": answers}) as url, Session() as session:
            async with session.post(f"{url}/", data=b"x", expect100=True) as response:
                await response.read()
            async with session.head(f"{url}/") as response:
                assert response.status == 200
            await ask(session, server.url("/empty/1"))

    exchanges = captured_by(main).exchanges
    assert [(each.method, each.status, each.body_complete) for each in exchanges] == [
        ("POST", 200, True),
        ("HEAD", 200, True),
        ("GET", 204, True),
    ]
    assert [each.request_number for each in exchanges] == [1, 2, 1]


def test_an_answer_that_comes_before_the_request_was_written() -> None:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.answer()
            peer.wait_for_close()

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(10)

    async def main(url: str) -> None:
        async with Session() as session:
            async with session.post(url, data=body()) as response:
                await response.read()

    with scripted(script) as server:
        captured = captured_by(lambda: main(server.url()))
    (exchange,), (connection,) = captured.exchanges, captured.connections
    assert (exchange.status, exchange.sent_at, exchange.body_complete) == (200, None, True)
    assert (connection.close_reason, connection.error) == ("cancelled", "CancelledError")


def test_states_of_requests_in_progress(server: Running) -> None:
    async def main() -> None:
        async with Session(connector=aiohttp.TCPConnector(limit=1)) as session:
            asked = [
                asyncio.ensure_future(session.get(server.url(f"/silence/{number}"))) for number in (1, 2)
            ]
            await until(
                lambda: (
                    [state_of(each) for each in LIVE.exchanges.values()] == ["awaiting_headers", "waiting"]
                )
            )
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            assert not LIVE.exchanges
            async with session.get(server.url("/size/4000000/1")):
                assert [state_of(each) for each in LIVE.exchanges.values()] == ["reading"]
            assert not LIVE.exchanges

    errors = [exchange.error for exchange in captured_by(main).exchanges]
    assert errors == ["asyncio.exceptions.CancelledError"] * 2 + [None]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_an_answer_that_is_dropped_unread_is_in_progress_while_its_connector_lives(server: Running) -> None:
    async def main() -> None:
        async with Session() as session:
            response = await session.get(server.url("/size/4000000/1"))
            alive = weakref.ref(response)
            del response
            gc.collect()
            assert alive() is not None, "aiohttp keeps it itself"
            assert [state_of(each) for each in LIVE.exchanges.values()] == ["reading"]

    (connection,) = captured_by(main).connections
    assert connection.close_reason == "client_close_active"


def test_an_exception_of_the_programs_own_is_no_failure(server: Running) -> None:
    async def main() -> None:
        async with Session() as session:
            with pytest.raises(LookupError):
                async with session.get(server.url("/size/4000000/1")):
                    raise LookupError
            try:
                raise TimeoutError
            except TimeoutError:
                async with session.get(server.url("/size/4000000/2")):
                    pass

    captured = captured_by(main)
    assert [exchange.error for exchange in captured.exchanges] == [None, None]
    assert [connection.close_reason for connection in captured.connections] == ["response_not_read"] * 2


# What stays unchanged


@pytest.mark.parametrize("made", [mock.Mock, partial(mock.create_autospec, aiohttp.ClientRequest)])
def test_a_mock_in_place_of_a_request_is_ignored(made: Callable[[], Any]) -> None:
    """As in aiohttp's own tests; an autospec has no URL at all."""

    class Refused(Exception):
        pass

    async def main() -> None:
        connector = aiohttp.TCPConnector()
        async with Session(connector=connector) as session:
            asked: Any = mock.AsyncMock(side_effect=Refused)
            with mock.patch.object(connector, "_create_connection", asked), pytest.raises(Refused):
                await connector.connect(made(), [], aiohttp.ClientTimeout())
            assert asked.await_count == 1
            assert not session.closed

    captured = captured_by(main)
    assert (captured.exchanges, captured.connections) == ([], [])


def woven() -> dict[str, Any]:
    owners = [(point, owner_of(point, aiohttp)) for point in points(aiohttp)]
    return {
        f"{point.owner}.{point.method}": vars(owner).get(point.method) for point, owner in owners if owner
    }


def test_nothing_is_left_behind(server: Running) -> None:
    before = woven()
    with capture():
        assert woven() != before
    assert woven() == before
    asyncio.run(one_each(server.url("/fixed/1")))


def test_tracebacks_have_no_frame_of_ours(server: Running) -> None:
    async def frames(**options: Any) -> list[str]:
        try:
            await one_each(**options)
        except (aiohttp.ClientError, TimeoutError) as error:
            assert error.__traceback__ is not None
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        raise AssertionError("it should fail")

    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/"
        for asked in ({"url": url}, {"url": server.url("/drop/1")}):
            bare = asyncio.run(frames(**asked))
            with capture():
                assert asyncio.run(frames(**asked)) == bare


def test_a_session_from_before(server: Running) -> None:
    async def main() -> None:
        async with Session() as session:
            await ask(session, server.url("/fixed/1"))
            with capture() as captured:
                await ask(session, server.url("/fixed/2"))
            await ask(session, server.url("/fixed/3"))
            seen.append(captured)

    seen: list[Capture] = []
    asyncio.run(main())
    (exchange,), (connection,), (client,) = seen[0].exchanges, seen[0].connections, seen[0].clients
    assert (exchange.request_number, exchange.reused, exchange.connection) == (None, True, connection.id)
    assert (connection.setup_started_at, connection.local_port is None) == (None, False)
    assert client.created_at is None


def test_one_session_observed_by_itself(server: Running) -> None:
    seen: list[Any] = []

    def consume(_moment: Any, sheet: Any) -> None:
        seen.append(sheet)

    async def main() -> None:
        async with Session() as observed, Session() as other:
            poolscope.trace(observed)
            await ask(observed, server.url("/fixed/observed"))
            await ask(other, server.url("/fixed/other"))

    FACTS.add_consumer(consume)
    try:
        asyncio.run(main())
        FACTS.settle()
    finally:
        FACTS.remove_consumer(consume)
        poolscope.uninstrument()
    targets = {sheet.target for sheet in seen if type(sheet).__name__ == "Exchange"}
    assert targets == {"/fixed/observed"}


def test_times_are_in_order(server: Running) -> None:
    began = now()

    async def main() -> None:
        async with Session() as session:
            await ask(session, server.url("/close/1"))

    captured = captured_by(main)
    (exchange,), (connection,) = captured.exchanges, captured.connections
    moments = [began, exchange.started_at, connection.opened_at, exchange.sent_at, exchange.headers_at,
               exchange.finished_at, connection.closed_at]  # fmt: skip
    known = [moment for moment in moments if moment is not None]
    assert len(known) == len(moments)
    assert known == sorted(known)
