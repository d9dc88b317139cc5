"""The program must not notice: same tracebacks, same objects, nothing left behind, silence where it is asked for."""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import requests
import urllib3
from urllib3.connection import HTTPConnection

import poolscope
from poolscope.facts import Connection, Exchange
from poolscope.instrumentor import INSTRUMENTOR, observe
from poolscope.ledger import Ledger
from poolscope.libraries.urllib3 import manager
from poolscope.queue import FACTS
from poolscope.story.door import ENTRANCE
from poolscope.story.hook import HOOKS
from poolscope.testing import capture
from tests.servers import Certificates, Running


@pytest.fixture(autouse=True)
def no_hook_failed() -> Iterator[None]:
    yield
    assert {name: hook.failures for name, hook in HOOKS.items() if hook.failures} == {}


def frames(function: Callable[[], object]) -> list[tuple[str, str]]:
    """(file, function) of every frame in the traceback of what ``function`` raises, causes included."""
    found: list[tuple[str, str]] = []
    try:
        function()
    except Exception as error:
        chain: BaseException | None = error
        while chain is not None:
            found += [(f.filename, f.name) for f in traceback.extract_tb(chain.__traceback__)]
            chain = chain.__cause__ or chain.__context__
    return found  # for a missing body, as 1.26 accepts a truncated one


def failures(server: Running, tls: Running) -> dict[str, Callable[[], object]]:
    direct = urllib3.PoolManager(retries=False)
    closed = urllib3.HTTPConnectionPool("127.0.0.1", server.port)
    closed.close()
    blocked = urllib3.HTTPConnectionPool("127.0.0.1", server.port, maxsize=1, block=True)
    blocked.pool.get()  # type: ignore[union-attr]
    return {
        "refused": lambda: direct.request("GET", "http://127.0.0.1:1/"),
        "dns": lambda: direct.request("GET", "http://no-such-host.invalid/"),
        "tls": lambda: direct.request("GET", tls.url("/fixed")),
        "drop": lambda: direct.request("GET", server.url("/drop")),
        "cut": lambda: direct.request("GET", server.url("/cut")),
        "timeout": lambda: direct.request("GET", server.url("/silence"), timeout=0.02),
        "retries": lambda: urllib3.PoolManager(retries=2).request("GET", "http://127.0.0.1:1/"),
        "redirects": lambda: direct.request("GET", server.url("/redirect" * 3 + "/fixed"), retries=1),
        "bad header": lambda: direct.request("GET", server.url("/fixed"), headers={"a b": "\n"}),
        "closed pool": lambda: closed.request("GET", "/"),
        "empty pool": lambda: blocked.request("GET", "/", pool_timeout=0.01, retries=False),
        "bad url": lambda: direct.request("GET", "http://[::1"),
        "bad port": lambda: urllib3.HTTPConnectionPool("127.0.0.1").urlopen("GET", "http://x:yz/"),
        "bad manager": lambda: urllib3.PoolManager(num_pools=cast("Any", "x")).request(
            "GET", server.url("/fixed")
        ),
        "requests refused": lambda: requests.get("http://127.0.0.1:1/", timeout=5),
        "requests cut": lambda: requests.get(server.url("/cut"), timeout=5),
        "requests drop": lambda: requests.get(server.url("/redirect/drop"), timeout=5),
        "requests stream": lambda: list(
            requests.get(server.url("/cut"), stream=True, timeout=5).iter_lines()
        ),
        "requests schema": lambda: requests.get("nothing://x", timeout=5),
    }


NAMES = [
    "refused", "dns", "tls", "drop", "cut", "timeout", "retries", "redirects", "bad header", "closed pool",
    "empty pool", "bad url", "bad port", "bad manager", "requests refused", "requests cut", "requests drop",
    "requests stream", "requests schema",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_tracebacks_are_the_same(server: Running, tls: Running, name: str) -> None:
    bare = frames(failures(server, tls)[name])
    with capture():
        assert frames(failures(server, tls)[name]) == bare


def test_nothing_is_left_behind() -> None:
    names = ("connection", "connectionpool", "poolmanager", "response", "util.ssl_", "contrib.socks")
    modules = [importlib.import_module(f"urllib3.{name}") for name in names]
    modules.append(importlib.import_module("requests.sessions"))

    def everything() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for module in modules:
            for name, thing in vars(module).items():
                seen[f"{module.__name__}.{name}"] = thing
                if isinstance(thing, type):
                    seen |= {f"{module.__name__}.{name}.{key}": value for key, value in vars(thing).items()}
        return {name: thing for name, thing in seen.items() if not name.endswith("__doc__")}

    before = everything()
    with capture():
        assert everything().keys() != before.keys()
    after = everything()
    assert after.keys() == before.keys()
    assert [name for name, thing in before.items() if after[name] is not thing] == []


def test_signatures_and_names_stay() -> None:
    plain = HTTPConnection.getresponse.__qualname__, urllib3.HTTPConnectionPool.urlopen.__name__
    with capture():
        assert (HTTPConnection.getresponse.__qualname__, urllib3.HTTPConnectionPool.urlopen.__name__) == plain
        with pytest.raises(TypeError):
            HTTPConnection("x").getresponse(buffering=True)  # type: ignore[call-arg]


class OwnState(requests.Session):
    def __getstate__(self) -> dict[str, Any]:
        return dict(vars(self))


@pytest.mark.parametrize("kind", [requests.Session, OwnState])
def test_copies_and_pickles_are_other_clients(server: Running, kind: type[requests.Session]) -> None:
    with capture() as captured:
        session = kind()
        session.trust_env = False
        session.get(server.url("/fixed"))
        blob = pickle.dumps(session)
        twins = [pickle.loads(blob), copy.copy(session), copy.deepcopy(session)]
        for twin in twins:
            twin.get(server.url("/fixed"))
            twin.close()
        session.close()
    assert b"poolscope" not in blob.replace(b"_poolscope", b"")
    assert len(captured.clients) == 4
    assert [client.requests for client in captured.clients] == [1, 1, 1, 1]
    assert [client.close_kind for client in captured.clients] == ["close"] * 4


def test_managers_are_copied_as_without_us() -> None:
    def attempt() -> str:
        try:
            copy.deepcopy(urllib3.PoolManager())
        except TypeError as error:
            return str(error)
        return "copied"

    bare = attempt()
    with capture():
        assert attempt() == bare


def test_silence_where_it_is_asked_for(server: Running) -> None:
    from opentelemetry.instrumentation import utils

    with capture() as captured:
        http = urllib3.PoolManager()
        with utils.suppress_instrumentation():
            http.request("GET", server.url("/fixed"))
            http.request("GET", server.url("/redirect/fixed"))
        del http
        gc.collect()
        with utils.suppress_http_instrumentation(), urllib3.PoolManager() as other:
            other.request("GET", server.url("/fixed"))
    assert len(captured.connections) == len(captured.exchanges) == 1


def test_a_silent_request_on_a_reported_connection_counts(server: Running) -> None:
    from opentelemetry.instrumentation import utils

    with capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", server.url("/fixed"))
        with utils.suppress_instrumentation():
            http.request("GET", server.url("/fixed"))
        http.request("GET", server.url("/fixed"))
    assert [e.request_number for e in captured.exchanges] == [1, 3]
    assert [c.requests for c in captured.connections] == [3]


class Door:
    """Records the calls of the live path."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def request_started(self, exchange: Exchange, request: Any) -> list[tuple[str, str]]:
        self.heard.append(("started", request.method, request.headers.get("x-mine")))
        return [("traceparent", f"00-{exchange.id}")]

    def setup_ended(self, connection: Connection, exchange: Exchange | None) -> None:
        self.heard.append(("setup", connection.failed_phase, exchange is not None))

    def headers_received(self, exchange: Exchange, response: Any) -> None:
        assert exchange.connection is not None
        self.heard.append(("headers", response.status, response.getheader("Content-Length")))

    def request_failed(self, exchange: Exchange, error: BaseException) -> None:
        self.heard.append(("failed", type(error).__name__))


@pytest.fixture
def door() -> Iterator[Door]:
    ENTRANCE.door = door = Door()
    yield door
    ENTRANCE.door = None


def test_the_live_path(server: Running, door: Door) -> None:
    mine = {"x-mine": "yes"}
    with capture(), urllib3.PoolManager(retries=False) as http:
        http.request("GET", server.url("/fixed"), headers=mine)
        with pytest.raises(urllib3.exceptions.HTTPError):
            http.request("GET", server.url("/drop"))
        with pytest.raises(urllib3.exceptions.HTTPError):
            http.request("GET", server.url("/cut"))
        with pytest.raises(urllib3.exceptions.HTTPError):
            http.request("GET", "http://127.0.0.1:1/")
        requests.get(server.url("/fixed"), headers=mine, timeout=5)
    assert mine == {"x-mine": "yes"}
    fixed = ("headers", 200, "2")
    assert [heard[0] for heard in door.heard] == [
        *("started", "setup", "headers"),
        *("started", "failed"),
        *("started", "setup", "headers"),
        *("started", "setup", "failed"),
        *("started", "setup", "headers"),
    ]
    assert door.heard[0] == ("started", "GET", "yes")
    assert door.heard[1] == ("setup", None, True)
    assert door.heard[-1][:2] == fixed[:2]
    assert ("setup", "connect", True) in door.heard


def test_headers_of_the_door_reach_the_server(door: Door) -> None:
    from tests.servers import Peer, Scripted, scripted

    heads: list[bytes] = []

    def answer(peer: Peer) -> None:
        heads.append(peer.read_head())
        peer.answer()

    def script(server: Scripted) -> None:
        with server.accept() as peer:
            answer(peer)
            answer(peer)

    with scripted(script) as server, capture(), urllib3.PoolManager(headers={"x-default": "kept"}) as http:
        http.request("GET", server.url())
        http.request("GET", server.url(), headers={"traceparent": "theirs"})
        assert dict(http.headers) == {"x-default": "kept"}
    assert b"x-default: kept" in heads[0]
    assert b"traceparent: 00-" in heads[0]
    assert heads[1].count(b"traceparent") == 1


@pytest.fixture
def observed() -> Iterator[Callable[..., Any]]:
    """Lets a single manager be observed, as the doors do."""

    def one(http: Any, kind: str = "urllib3.PoolManager") -> Any:
        manager.observe(http, kind)
        observe("urllib3")
        return http

    yield one
    poolscope.uninstrument()


def test_only_one_manager_is_observed(server: Running, observed: Callable[..., Any]) -> None:
    records: list[Any] = []
    ledger = Ledger(records.append)
    FACTS.add_consumer(ledger.consume)
    untouched = urllib3.HTTPConnectionPool.urlopen
    http = urllib3.PoolManager()
    observed(http, "poolscope.Test")
    observed(http, "poolscope.Test")
    try:
        assert type(http) is urllib3.PoolManager
        with urllib3.PoolManager() as other:
            other.request("GET", server.url("/fixed"))
        requests.get(server.url("/fixed"), timeout=5)
        urllib3.HTTPConnectionPool("127.0.0.1", server.port).request("GET", "/fixed")
        http.request("GET", server.url("/redirect/fixed"))
        with capture() as captured:
            http.request("GET", server.url("/fixed"))
        http.request("GET", server.url("/fixed"))
        http.clear()
        FACTS.settle()
    finally:
        FACTS.remove_consumer(ledger.consume)
    poolscope.uninstrument()
    assert urllib3.HTTPConnectionPool.urlopen is untouched
    exchanges = [record for record in records if record.type == "exchange"]
    assert [e.request_number for e in exchanges] == [1, 2, 3, 4]
    assert len(captured.exchanges) == 1
    clients = [record for record in records if record.type == "client"]
    assert {(c.id, c.kind) for c in clients} == {(clients[0].id, "poolscope.Test")}
    assert clients[-1].close_kind == "close"
    assert "HTTPConnectionPool(host='127.0.0.1'" in str(http.connection_from_host("127.0.0.1", server.port))


@pytest.mark.parametrize("make", [urllib3.PoolManager, requests.Session])
def test_what_is_in_use_already_is_traced_as_well(make: Any, server: Running) -> None:
    records: list[Any] = []
    ledger = Ledger(records.append)
    client = make()
    get = client.get if make is requests.Session else lambda url: client.request("GET", url)
    get(server.url("/fixed/before"))
    FACTS.add_consumer(ledger.consume)
    try:
        poolscope.trace(client)
        get(server.url("/fixed/1"))
        get(server.url("/fixed/2"))
        (client.close if make is requests.Session else client.clear)()
        FACTS.settle()
    finally:
        FACTS.remove_consumer(ledger.consume)
        poolscope.uninstrument()
    assert [(e.reused, e.request_number) for e in records if e.type == "exchange"] == [(True, None)] * 2
    connection = [record for record in records if record.type == "connection"][-1]
    assert (connection.requests, connection.close_reason) == (2, "client_close")
    assert {(c.created_at, c.call_site) for c in records if c.type == "client"} == {(None, None)}


def test_a_traced_session_is_one_client(server: Running, tls: Running, certificates: Certificates) -> None:
    records: list[Any] = []
    ledger = Ledger(records.append)
    FACTS.add_consumer(ledger.consume)
    try:
        session = poolscope.trace(requests.Session())
        session.trust_env, session.verify = False, certificates.authority
        session.get(server.url("/fixed"))
        with capture():
            session.get(server.url("/fixed"))
        session.get(tls.url("/fixed"))
        session.close()
        FACTS.settle()
    finally:
        FACTS.remove_consumer(ledger.consume)
        poolscope.uninstrument()
    (client,) = [r for r in records if r.type == "client" and r.close_kind is not None]
    assert (client.kind, client.created_at, client.requests) == ("requests.Session", None, 3)
    assert {r.id for r in records if r.type == "client"} == {client.id}
    assert {e.client for e in records if e.type == "exchange"} == {client.id}


def test_a_manager_traced_while_instrumented_is_one_client(
    server: Running, observed: Callable[..., Any]
) -> None:
    with capture() as captured, urllib3.PoolManager() as http:
        http.request("GET", server.url("/fixed"))
        observed(http)
        http.request("GET", server.url("/fixed"))
    assert [(c.requests, c.close_kind) for c in captured.clients] == [(2, "close")]
    assert [(c.requests, c.close_reason) for c in captured.connections] == [(2, "client_close")]
    assert [e.request_number for e in captured.exchanges] == [1, 2]
    assert len(captured.pools) == 1


@pytest.mark.parametrize("order", ["traced first", "wrapped first", "instrumented"])
def test_what_others_wrap_with_wrapt_is_called_on_a_traced_manager(
    order: str, server: Running, monkeypatch: pytest.MonkeyPatch, observed: Callable[..., Any]
) -> None:
    import wrapt

    called: list[str] = []

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        called.append(type(instance).__name__)
        return wrapped(*args, **kwargs)

    http = urllib3.PoolManager()
    if order == "traced first":
        observed(http)
        http.request("GET", server.url("/fixed"))
    with capture() if order == "instrumented" else contextlib.nullcontext():
        # Through the class's own dictionary, as access through the class would return another wrapper.
        pool = urllib3.HTTPConnectionPool
        monkeypatch.setattr(pool, "urlopen", wrapt.FunctionWrapper(vars(pool)["urlopen"], theirs))
        observed(http)
        http.request("GET", server.url("/fixed"))
        monkeypatch.undo()
    http.clear()
    assert called == ["HTTPConnectionPool"]


def test_a_close_wrapped_by_another_tool_outlives_the_hooks(server: Running) -> None:
    from urllib3.connection import HTTPConnection

    plain = vars(HTTPConnection).get("close")
    with capture():
        ours = HTTPConnection.close
        HTTPConnection.close = lambda self: ours(self)  # type: ignore[method-assign]
    try:
        connection = HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/fixed")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        if plain is None:  # 1.26 inherits the method
            del HTTPConnection.close
        else:
            HTTPConnection.close = plain  # type: ignore[method-assign]


def test_fork(server: Running) -> None:
    script = """
        import json, os, sys
        import poolscope, requests
        from poolscope.ledger import Ledger
        from poolscope.queue import FACTS

        def watched():
            records = []
            FACTS.add_consumer(Ledger(records.append).consume)
            session.get(sys.argv[1], timeout=5)
            return records

        poolscope.instrument(signals=False)
        session = requests.Session()
        parent = watched()
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            records = parent
        else:
            FACTS.consumers = ()
            records = watched()
        session.close()
        FACTS.settle()
        exchanges = [r for r in records if r.type == "exchange"]
        clients = {r.id: r.created_at is None for r in records if r.type == "client"}
        names = {(r.kind, r.call_site.line) for r in records if r.type == "client"}
        print(json.dumps({
            "client": [*names],
            "numbers": [e.request_number for e in exchanges],
            "inherited": [r.inherited for r in records if r.type == "connection"][-1],
            "unknown past": [clients[e.client] for e in exchanges],
        }), flush=True)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), server.url("/fixed")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    child, parent = (json.loads(line) for line in done.stdout.splitlines())
    assert child.pop("client") == parent.pop("client") == [["requests.Session", 14]]
    assert child == {"numbers": [2], "inherited": True, "unknown past": [True]}
    assert parent == {"numbers": [1], "inherited": False, "unknown past": [False]}


@pytest.mark.parametrize("first", ["capture", "import"])
def test_hooks_before_and_after_the_import(server: Running, first: str) -> None:
    imports = "import urllib3, requests, urllib3.contrib.socks"
    script = f"""
        import sys
        from poolscope.testing import capture
        {imports if first == "import" else ""}
        with capture() as captured:
            {imports}
            requests.get(sys.argv[1], timeout=5)
            urllib3.PoolManager().request("GET", sys.argv[1])
        (one, two) = captured.connections
        print([c.kind for c in captured.clients], one.close_reason, two.close_reason)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), server.url("/fixed")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "['requests.get', 'urllib3.PoolManager'] client_close gc"


def test_a_connection_collected_in_another_thread(server: Running) -> None:
    with capture() as captured:
        holder = [urllib3.HTTPConnectionPool("127.0.0.1", server.port)]
        holder[0].request("GET", "/fixed")
        thread = threading.Thread(target=holder.clear)
        thread.start()
        thread.join()
    assert [c.close_reason for c in captured.connections] == ["gc"]


@pytest.mark.parametrize("began", ["unseen", "in an earlier block"])
def test_a_connection_that_opens_for_a_request_of_before_has_a_past(began: str, server: Running) -> None:
    """Another thread may call ``instrument()`` in the middle of a request."""
    before, seen = capture(), capture()
    opens: list[str] = []

    class Connection(HTTPConnection):
        def endheaders(self, *args: Any, **kwargs: Any) -> None:
            if not opens:
                if INSTRUMENTOR.holds(before):
                    before.__exit__(None, None, None)
                seen.__enter__()
            opens.append("")
            super().endheaders(*args, **kwargs)

    pool: Any = urllib3.HTTPConnectionPool("127.0.0.1", server.port)
    pool.ConnectionCls = Connection
    if began != "unseen":
        before.__enter__()
    for number in range(3):
        pool.request("GET", f"/fixed/{number}")
    seen.__exit__(None, None, None)
    pool.close()
    (connection,) = seen.connections
    assert (connection.setup_started_at, connection.opened_at, connection.opened_by) == (None, None, None)
    assert [(exchange.request_number, exchange.reused) for exchange in seen.exchanges] == [(None, True)] * 2
