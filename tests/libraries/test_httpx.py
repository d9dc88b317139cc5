"""The facts that the hooks of httpx and httpx2 state about clients: the line, the kind, the use and the close."""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import poolscope
from poolscope.ledger import Ledger
from poolscope.queue import FACTS
from poolscope.testing import capture
from tests.servers import Running, ServerConfig, in_thread
from tests.truth.probes import HTTPX
from tests.truth.watching import watch

on_libraries = pytest.mark.parametrize("library", ["httpx", "httpx2"])
on_all = pytest.mark.parametrize("name", HTTPX)


@pytest.fixture
def httpx(library: str) -> Any:
    return importlib.import_module(library)


def line() -> int:
    """Of the caller."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


@on_libraries
def test_a_client_and_its_line(library: str, httpx: Any, server: Running) -> None:
    with capture() as captured:
        with httpx.Client() as client:
            built = line() - 1
            client.get(server.url("/fixed/1"))
            asked = line() - 1
    (made,) = captured.clients
    assert (made.kind, made.close_kind, made.requests) == (f"{library}.Client", "close", 1)
    assert made.call_site is not None
    assert (made.call_site.file, made.call_site.line) == (__file__, built)
    assert made.sdk_call_site is None
    assert made.created_at is not None and made.closed_at is not None
    assert 0 < (made.construction_time or 0) < made.closed_at - made.created_at
    assert made.loop is None
    (exchange,) = captured.exchanges
    assert exchange.call_site is not None
    assert (exchange.call_site.file, exchange.call_site.line) == (__file__, asked)
    assert exchange.task is None
    assert exchange.thread is not None


@on_libraries
def test_an_async_client_and_its_loop(library: str, httpx: Any, server: Running) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(server.url("/fixed/1"))

    with capture() as captured:
        asyncio.run(ask())
        asyncio.run(ask())
    one, other = captured.clients
    assert {one.kind, other.kind} == {f"{library}.AsyncClient"}
    assert one.loop is not None and other.loop is not None and one.loop != other.loop
    assert one.call_site == other.call_site
    assert one.settings == other.settings is not None
    assert [c.close_kind for c in captured.clients] == ["close", "close"]
    assert all(x.task and x.call_site and x.call_site.function.endswith("ask") for x in captured.exchanges)


@on_libraries
def test_the_line_of_a_coroutine_that_runs_as_a_task_of_its_own(
    library: str, httpx: Any, server: Running
) -> None:
    lines: list[int] = []

    async def ask() -> None:
        async with httpx.AsyncClient() as client:
            one, two = server.url("/fixed/1"), server.url("/fixed/2")
            lines.append(line() + 1)
            await asyncio.gather(client.get(one), client.request("GET", two))
            request = client.build_request("GET", server.url("/fixed/3"))
            lines.append(line() + 1)
            await asyncio.create_task(client.send(request))

            def of_a_hook(_: Any) -> None:
                client.event_hooks = {}
                lines.append(line() + 1)
                other.append(client.get(server.url("/fixed/5")))

            async def hook(response: Any) -> None:
                of_a_hook(response)
                await other[0]

            other: list[Any] = []
            client.event_hooks = {"response": [hook]}
            lines.append(line() + 1)
            await client.get(server.url("/fixed/4"))

    with capture() as captured:
        asyncio.run(ask())
    first, sent, hooked, in_hook = lines
    found = {str(x.url)[-1]: x.call_site.line for x in captured.exchanges if x.call_site}
    assert found == {"1": first, "2": first, "3": sent, "4": hooked, "5": in_hook}


@on_libraries
def test_the_one_call_functions(library: str, httpx: Any, server: Running) -> None:
    with capture() as captured:
        httpx.get(server.url("/fixed/1"))
        httpx.post(server.url("/fixed/2"), content=b"x")
        httpx.request("GET", server.url("/fixed/3"))
        with httpx.stream("GET", server.url("/fixed/4")) as response:
            response.read()
    kinds = [f"{library}.{name}" for name in ("get", "post", "request", "stream")]
    assert [c.kind for c in captured.clients] == kinds
    assert {c.call_site.file for c in captured.clients if c.call_site} == {__file__}
    assert [c.requests for c in captured.clients] == [1, 1, 1, 1]
    assert len(captured.connections) == 4


@on_libraries
def test_an_sdk_in_between_has_a_line_too(
    library: str, httpx: Any, server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "some_sdk"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "def make(kind):\n    class Own(kind):\n        pass\n    return Own()\n"
    )
    monkeypatch.syspath_prepend(package.parent)
    sdk = importlib.import_module("some_sdk")
    try:
        with capture() as captured:
            sdk.make(httpx.Client).close()
    finally:
        del sys.modules["some_sdk"]
    (made,) = captured.clients
    assert made.kind == f"{library}.Client"
    assert made.call_site is not None and made.call_site.file == __file__
    assert made.sdk_call_site is not None
    assert made.sdk_call_site.file == str(package / "__init__.py")
    assert made.sdk_call_site.line == 4


@on_all
def test_collected_without_a_close(name: str) -> None:
    with watch(name) as (probe, captured):
        probe.drop()
    assert [c.close_kind for c in captured.clients] == ["gc"]


@on_libraries
def test_a_chain_of_exchanges_in_one_call(library: str, httpx: Any, server: Running) -> None:
    with (
        capture() as captured,
        httpx.Client(auth=httpx.DigestAuth("u", "p"), follow_redirects=True) as client,
    ):
        client.get(server.url("/digest/1"))
        client.get(server.url("/redirect/fixed/2"))
    challenge, answer, redirect, _ = captured.exchanges
    assert [x.status for x in captured.exchanges] == [401, 200, 302, 200]
    assert [x.previous for x in captured.exchanges] == [None, challenge.id, None, redirect.id]
    assert [x.relation for x in captured.exchanges] == [None, "auth", None, "redirect"]
    assert {x.client for x in captured.exchanges} == {captured.clients[0].id}
    assert [x.request_number for x in captured.exchanges] == [1, 2, 3, 4]
    assert answer.call_site == challenge.call_site != redirect.call_site


@on_libraries
def test_a_hook_of_the_clients_own_makes_calls_of_its_own(library: str, httpx: Any, server: Running) -> None:
    def look_again(response: Any) -> None:
        if str(response.url).endswith("/fixed/1"):
            client.get(server.url("/fixed/2"))

    with capture() as captured, httpx.Client(event_hooks={"response": [look_again]}) as client:
        client.get(server.url("/fixed/1"))
    assert [x.previous for x in captured.exchanges] == [None, None]


def stops_reading(httpx: Any, url: str) -> None:
    with httpx.Client() as client, client.stream("GET", url) as response:
        for _ in response.iter_bytes(1_000):
            break


def fails_at_reading(httpx: Any, url: str) -> None:
    with httpx.Client() as client, pytest.raises(LookupError):
        with client.stream("GET", url) as response:
            for _ in response.iter_raw():
                raise LookupError("the program's own")


def lets_the_iterator_go(httpx: Any, url: str) -> None:
    with httpx.Client() as client:
        response = client.send(client.build_request("GET", url), stream=True)
        next(response.iter_raw())


def stops_reading_in_a_task(httpx: Any, url: str) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
            async for _ in response.aiter_bytes(1_000):
                break

    asyncio.run(main())


@on_libraries
@pytest.mark.parametrize(
    "program", [stops_reading, fails_at_reading, lets_the_iterator_go, stops_reading_in_a_task]
)
def test_a_body_that_was_read_far_enough_is_no_error(
    library: str, httpx: Any, program: Any, server: Running
) -> None:
    with capture() as captured:
        program(httpx, server.url("/size/400000/1"))
    assert [(e.status, e.error, e.body_complete) for e in captured.exchanges] == [(200, None, False)]
    (connection,) = captured.connections
    assert (connection.close_reason, connection.closed_by) == ("response_not_read", "client")
    assert connection.error is None


@on_libraries
def test_settings_are_equal_where_tls_proxy_and_credentials_are(
    library: str, httpx: Any, server: Running
) -> None:
    def settings(**options: Any) -> int | None:
        headers = options.pop("call_headers", None)
        with capture() as captured, httpx.Client(**options) as client:
            client.get(server.url("/fixed/1"), headers=headers)
        return captured.clients[0].settings

    plain = settings()
    assert plain == settings(timeout=3, headers={"X-Request-Id": "1"})
    others = [
        settings(verify=False),
        settings(auth=("u", "p")),
        settings(auth=("u", "q")),
        settings(headers={"Authorization": "Bearer 1"}),
        settings(call_headers={"Authorization": "Bearer 2"}),
        settings(cookies={"session": "1"}),
        settings(trust_env=False),
    ]
    assert None not in others
    assert len({plain, *others}) == 1 + len(others)


@on_libraries
def test_transports_are_compared_by_what_they_do(library: str, httpx: Any, server: Running) -> None:
    def use(**options: Any) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(**options)) as client:
            client.get(server.url("/fixed/1"))

    with capture() as captured:
        use()
        use(retries=2)
        use(verify=False)
        use(local_address="127.0.0.1")
    plain, same, *others = (client.settings for client in captured.clients)
    assert plain == same
    assert len({plain, *others}) == 3


@on_libraries
def test_a_shared_transport_belongs_to_no_client(library: str, httpx: Any, server: Running) -> None:
    transport = httpx.HTTPTransport()
    with capture() as captured:
        one, two = httpx.Client(transport=transport), httpx.Client(transport=transport)
        one.get(server.url("/fixed/1"))
        two.get(server.url("/fixed/2"))
        one.close()
        two.close()
    first, second = captured.clients
    assert [x.client for x in captured.exchanges] == [first.id, second.id]
    assert [x.request_number for x in captured.exchanges] == [1, 2]


@on_libraries
def test_mounts_belong_to_their_client(library: str, httpx: Any, server: Running) -> None:
    with in_thread(ServerConfig("proxy")) as proxy, capture() as captured:
        mounted = httpx.HTTPTransport(proxy=httpx.Proxy(f"http://127.0.0.1:{proxy.port}"))
        with httpx.Client(mounts={"all://127.0.0.1": mounted}) as client:
            client.get(server.url("/fixed/1"))
    (pool,) = captured.pools
    assert pool.client == captured.clients[0].id == captured.connections[0].client
    assert captured.connections[0].via == "forward"


@on_libraries
def test_no_network_no_facts(library: str, httpx: Any) -> None:
    with capture() as captured:
        with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
            client.get("http://mocked/")
    assert (captured.connections, captured.exchanges) == ([], [])
    assert [c.requests for c in captured.clients] == [0]


@on_libraries
def test_one_client_traced_alone_and_together(library: str, httpx: Any, server: Running) -> None:
    records: list[Any] = []
    ledger = Ledger(records.append)
    client = httpx.Client()
    FACTS.add_consumer(ledger.consume)
    try:
        assert poolscope.trace(client) is poolscope.trace(client)
        client.get(server.url("/fixed/1"))
        with capture() as captured:
            client.get(server.url("/fixed/2"))
        client.close()
        FACTS.settle()
    finally:
        FACTS.remove_consumer(ledger.consume)
        poolscope.uninstrument()
    exchanges = [r for r in records if type(r).__name__ == "Exchange"]
    assert [x.request_number for x in exchanges] == [1, 2]
    assert all(x.client is not None for x in exchanges)
    assert [x.request_number for x in captured.exchanges] == [2]
    assert [r.close_reason for r in records if type(r).__name__ == "Connection"][-1] == "client_close"
    assert [r.close_kind for r in records if type(r).__name__ == "Client"][-1] == "close"
    assert isinstance(client, httpx.Client) and type(client).__name__ == "Client"


@on_libraries
def test_a_client_traced_alone_is_one_client_whatever_the_hooks_do(
    library: str, httpx: Any, server: Running
) -> None:
    records: list[Any] = []
    ledger = Ledger(records.append)
    client = httpx.Client()
    FACTS.add_consumer(ledger.consume)
    try:
        poolscope.trace(client)
        client.get(server.url("/fixed/1"))
        for number in (2, 3):
            with capture():
                client.get(server.url(f"/fixed/{number}"))
            client.get(server.url("/fixed/between"))
        client.close()
        with capture(), httpx.Client() as other:
            poolscope.trace(other)
            other.get(server.url("/fixed/1"))
        FACTS.settle()
    finally:
        FACTS.remove_consumer(ledger.consume)
        poolscope.uninstrument()
    ended = [r for r in records if type(r).__name__ == "Client" and r.close_kind is not None]
    assert [(r.created_at is None, r.requests, r.close_kind) for r in ended] == [
        (True, 5, "close"),
        (False, 1, "close"),
    ]
    assert {r.id for r in records if type(r).__name__ == "Client"} == {r.id for r in ended}


@on_libraries
def test_a_transport_inside_another_is_found(library: str, httpx: Any, server: Running) -> None:
    class Loop:
        """Has a method of the same name, and no place for a mark."""

        __slots__ = ()

        def create_connection(self) -> None: ...

    class Retrying(httpx.BaseTransport):  # type: ignore[misc]
        def __init__(self, transport: Any) -> None:
            self._wrapped = transport
            self._me = self
            self._loop = Loop()

        def handle_request(self, request: Any) -> Any:
            return self._wrapped.handle_request(request)

        def close(self) -> None:
            self._wrapped.close()

    records: list[Any] = []
    ledger = Ledger(records.append)
    FACTS.add_consumer(ledger.consume)
    try:
        with httpx.Client(transport=Retrying(Retrying(httpx.HTTPTransport()))) as client:
            assert poolscope.trace(client) is client
            client.get(server.url("/fixed/1"))
        with capture() as captured, httpx.Client(transport=Retrying(httpx.HTTPTransport())) as client:
            client.get(server.url("/fixed/2"))
        assert captured.ledger.hook_failures == 0
        assert captured.connections[0].client == captured.clients[0].id
        FACTS.settle()
    finally:
        FACTS.remove_consumer(ledger.consume)
        poolscope.uninstrument()
    assert [r.status for r in records if type(r).__name__ == "Exchange"] == [200, 200]


@on_libraries
def test_a_shallow_copy_is_another_client(library: str, httpx: Any, server: Running) -> None:
    with capture() as captured:
        client = httpx.Client()
        client.get(server.url("/fixed/1"))
        twin = copy.copy(client)
        twin.get(server.url("/fixed/2"))
        twin.close()
        client.close()
    assert [(c.requests, c.close_kind) for c in captured.clients] == [(1, "close"), (1, "close")]


@on_libraries
def test_misuse_is_no_failure_of_ours(library: str, httpx: Any) -> None:
    with capture() as captured, httpx.Client() as client, pytest.raises(AttributeError):
        client.send(None)
    assert captured.ledger.hook_failures == 0


@on_libraries
def test_uninstrument_leaves_nothing_behind(library: str, httpx: Any) -> None:
    before = [dict(vars(cls)) for cls in (httpx.Client, httpx.AsyncClient)]
    with capture():
        assert [dict(vars(cls)) for cls in (httpx.Client, httpx.AsyncClient)] != before
    assert [dict(vars(cls)) for cls in (httpx.Client, httpx.AsyncClient)] == before


@on_libraries
def test_copies_and_pickles_are_as_without_us(library: str, httpx: Any, server: Running) -> None:
    def outcome(act: Any) -> str:
        try:
            return type(act()).__name__
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def look() -> list[str]:
        with httpx.Client() as client:
            response = client.get(server.url("/fixed/1"))
            response.elapsed
            return [
                outcome(lambda: copy.copy(client)),
                outcome(lambda: copy.deepcopy(client)),
                outcome(lambda: pickle.dumps(client)),
                outcome(lambda: pickle.loads(pickle.dumps(response))),
                repr(response),
                repr(type(client)),
                str(inspect.signature(httpx.Client)),
                str(inspect.signature(httpx.Client.send)),
                str(inspect.iscoroutinefunction(httpx.AsyncClient.send)),
            ]

    bare = look()
    with capture():
        assert look() == bare
    gc.collect()


@pytest.mark.processes
@on_libraries
@pytest.mark.parametrize("first", ["import", "instrument"])
def test_the_order_of_import_and_instrument_makes_no_difference(
    library: str, first: str, server: Running
) -> None:
    lines = [f"import {library}", "capture = poolscope.testing.capture(); captured = capture.__enter__()"]
    program = "\n".join(
        [
            "import poolscope.testing",
            *(lines if first == "import" else reversed(lines)),
            f"with {library}.Client() as client:",
            f"    client.get({server.url('/fixed/1')!r})",
            f"    client.get({server.url('/fixed/2')!r})",
            "capture.__exit__(None, None, None)",
            "print([c.kind for c in captured.clients], [x.request_number for x in captured.exchanges],",
            "      [(c.close_reason, c.via, list(c.setup)) for c in captured.connections])",
        ]
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    facts = f"['{library}.Client'] [1, 2] [('client_close', 'direct', ['connect', 'total'])]"
    assert run.stdout.strip() == facts, run.stderr


def test_instrument_and_uninstrument(server: Running) -> None:
    httpx = importlib.import_module("httpx")
    poolscope.instrument(signals=False)
    try:
        with httpx.Client() as client:
            client.get(server.url("/fixed/1"))
            seen = poolscope.snapshot()
            assert [c.kind for c in seen.clients] == ["httpx.Client"]
            assert len(seen.connections) == 1
            poolscope.uninstrument()
            after = poolscope.snapshot()
            assert (after.clients, after.pools, after.connections, after.holders) == ((), (), (), ())
    finally:
        poolscope.uninstrument()
