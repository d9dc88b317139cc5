"""The facts that the hooks of requests state about sessions and their calls."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth
from urllib3.util import Retry

from poolscope.facts import now
from poolscope.records import CallSite
from poolscope.testing import capture
from tests.servers import Certificates, Running, ServerConfig, in_thread

HERE = __file__


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def socks() -> Iterator[Running]:
    with in_thread(ServerConfig("socks")) as running:
        yield running


def site(function: Any, line: int) -> CallSite:
    return CallSite(HERE, function.__code__.co_firstlineno + line, function.__qualname__)


def test_a_session(server: Running) -> None:
    def use() -> None:
        with requests.Session() as session:
            for _ in range(3):
                session.get(server.url("/fixed"))

    began = now()
    with capture() as captured:
        use()
    took = now() - began
    (client,) = captured.clients
    assert (client.kind, client.requests, client.close_kind) == ("requests.Session", 3, "close")
    assert client.call_site == site(use, 1)
    assert client.sdk_call_site is None
    assert client.construction_time is not None
    assert 0 < client.construction_time < took
    (connection,) = captured.connections
    assert (connection.client, connection.requests) == (client.id, 3)
    assert (connection.close_reason, connection.closed_by) == ("client_close", "client")
    assert [e.request_number for e in captured.exchanges] == [1, 2, 3]
    assert [e.reused for e in captured.exchanges] == [False, True, True]
    assert {e.call_site for e in captured.exchanges} == {site(use, 3)}
    assert {e.client for e in captured.exchanges} == {client.id}
    assert [e.previous for e in captured.exchanges] == [None] * 3
    (pool,) = captured.pools
    assert (pool.client, pool.max_connections, pool.max_idle, pool.blocking) == (client.id, None, 10, False)


@pytest.mark.parametrize("method", ["get", "post", "head", "options", "put", "patch", "delete"])
def test_functions_of_the_module(server: Running, method: str) -> None:
    def use() -> None:
        getattr(requests, method)(server.url("/fixed"))

    with capture() as captured:
        use()
    (client,) = captured.clients
    assert (client.kind, client.call_site) == (f"requests.{method}", site(use, 1))
    (exchange,) = captured.exchanges
    assert (exchange.method, exchange.call_site, exchange.body_complete) == (
        method.upper(),
        site(use, 1),
        True,
    )


def test_other_ways_to_a_session(server: Running) -> None:
    with capture() as captured:
        requests.request("GET", server.url("/fixed"), timeout=5)
        requests.session().close()
    assert [c.kind for c in captured.clients] == ["requests.request", "requests.Session"]


class OwnSession(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self.headers["x-own"] = "yes"

    def send(self, request: Any, **options: Any) -> Any:
        return super().send(request, **options)


def test_a_subclass_is_built_where_it_is_called(server: Running) -> None:
    def use() -> None:
        with OwnSession() as session:
            session.get(server.url("/redirect/fixed"))

    with capture() as captured:
        use()
    assert captured.clients[0].call_site == site(use, 1)
    assert [e.relation for e in captured.exchanges] == [None, "redirect"]


class Uninitialised(requests.Session):
    def __init__(self) -> None:
        vars(self).update(vars(requests.Session()))
        self.__dict__.pop("_poolscope", None)


def test_a_session_that_was_never_initialised(server: Running) -> None:
    with capture() as captured, Uninitialised() as session:
        session.get(server.url("/fixed"))
    assert captured.exchanges[0].client == captured.clients[-1].id
    assert captured.clients[-1].created_at is None


def test_redirects(server: Running) -> None:
    with capture() as captured, requests.Session() as session:
        response = session.get(server.url("/redirect/redirect/chunked"))
        session.get(server.url("/fixed"))
    assert len(response.history) == 2
    ids = [e.id for e in captured.exchanges]
    assert [e.relation for e in captured.exchanges] == [None, "redirect", "redirect", None]
    assert [e.previous for e in captured.exchanges] == [None, ids[0], ids[1], None]
    assert [e.status for e in captured.exchanges] == [302, 302, 200, 200]
    assert [e.request_number for e in captured.exchanges] == [1, 2, 3, 4]


def test_redirects_past_a_wrapper_put_over_ours(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture() as captured, monkeypatch.context() as patched:
        ours = requests.Session.send

        def instrumented_send(self: Any, *args: Any, **kwargs: Any) -> Any:
            return ours(self, *args, **kwargs)

        patched.setattr(requests.Session, "send", instrumented_send)
        with requests.Session() as session:
            session.get(server.url("/redirect/fixed"))
    assert [e.relation for e in captured.exchanges] == [None, "redirect"]


class Strict(requests.Session):
    """Accepts only the attributes it knows."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__attrs__:
            raise AttributeError(name)
        super().__setattr__(name, value)


def test_a_session_that_is_particular_about_its_attributes(server: Running) -> None:
    session = Strict()
    with capture() as captured:
        session.get(server.url("/fixed"))
        session.close()
        with Strict() as other:
            other.get(server.url("/fixed"))
    assert [(c.requests, c.close_kind) for c in captured.clients] == [(1, "close")] * 2
    assert captured.ledger.hook_failures == 0


def test_a_hook_that_is_not_in_a_list(server: Running) -> None:
    with capture() as captured, requests.Session() as session:
        prepared: Any = session.prepare_request(requests.Request("GET", server.url("/fixed")))
        prepared.hooks = {"response": lambda response, **_: response}
        session.send(prepared)
    assert captured.clients[0].requests == 1
    assert captured.ledger.hook_failures == 0


def test_digest_auth(server: Running) -> None:
    with capture() as captured, requests.Session() as session:
        session.auth = HTTPDigestAuth("user", "secret")
        assert session.get(server.url("/digest")).status_code == 200
    first, second = captured.exchanges
    assert (first.status, second.status) == (401, 200)
    assert (second.relation, second.previous, second.reused) == ("auth", first.id, True)


def test_retries_of_urllib3(server: Running) -> None:
    with capture() as captured, requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(1, status_forcelist=[503])))
        session.get(server.url("/flaky/requests"))
    assert [(e.status, e.relation) for e in captured.exchanges] == [(503, None), (200, "retry")]


def test_a_response_hook_makes_calls_of_its_own(server: Running) -> None:
    with capture() as captured, requests.Session() as session:

        def again(response: Any, **_: Any) -> None:
            if response.url.endswith("/first"):
                session.get(server.url("/fixed/second"))

        session.get(server.url("/fixed/first"), hooks={"response": again})
    assert len(captured.exchanges) == 2
    assert [e.previous for e in captured.exchanges] == [None, None]


def test_a_pool_of_urllib3s_inside_a_hook_is_its_own_client(server: Running) -> None:
    pool = urllib3.PoolManager()

    def elsewhere(_response: Any, **_: Any) -> None:
        pool.request("GET", server.url("/fixed/inner"))

    with capture() as captured, requests.Session() as session:
        session.get(server.url("/fixed/outer"), hooks={"response": elsewhere})
        pool.clear()
    kinds = {client.id: client.kind for client in captured.clients}
    by_url = {str(e.url).rpartition("/")[2]: kinds[e.client or 0] for e in captured.exchanges}
    assert by_url == {"inner": "urllib3.PoolManager", "outer": "requests.Session"}
    assert [e.previous for e in captured.exchanges] == [None, None]


def test_tls(tls: Running, certificates: Certificates) -> None:
    with capture() as captured, requests.Session() as session:
        session.verify = certificates.authority
        session.get(tls.url("/fixed"))
    (connection,) = captured.connections
    assert set(connection.setup) == {"dns", "connect", "tls_context", "tls", "total"}
    assert connection.tls_version == "TLSv1.3"


def test_a_certificate_that_is_not_trusted(tls: Running) -> None:
    with capture() as captured, pytest.raises(requests.exceptions.SSLError):
        requests.get(tls.url("/fixed"), timeout=5)
    assert captured.connections[0].failed_phase == "tls"
    assert captured.exchanges[0].connection is None


def test_proxies(server: Running, tls: Running, proxy: Running, certificates: Certificates) -> None:
    url = f"http://user:secret@127.0.0.1:{proxy.port}"
    with capture() as captured, requests.Session() as session:
        session.proxies = {"http": url, "https": url}
        session.verify = certificates.authority
        session.get(server.url("/fixed"))
        session.get(tls.url("/fixed"))
    assert [c.via for c in captured.connections] == ["forward", "tunnel"]
    assert [e.origin for e in captured.exchanges] == [server.origin, tls.origin]
    assert {c.close_reason for c in captured.connections} == {"client_close"}
    assert [c.kind for c in captured.clients] == ["requests.Session"]
    everything = [*captured.connections, *captured.exchanges, *captured.clients]
    assert "secret" not in repr(everything)


def test_socks(server: Running, socks: Running) -> None:
    with capture() as captured, requests.Session() as session:
        session.proxies = {"http": f"socks5h://127.0.0.1:{socks.port}"}
        session.get(server.url("/fixed"))
    assert [(c.via, c.peer_port) for c in captured.connections] == [("socks", socks.port)]


def test_settings_are_read_when_they_are_used(server: Running) -> None:
    def session(**settings: Any) -> None:
        with requests.Session() as made:
            vars(made).update(settings)
            made.get(server.url("/fixed"))

    with capture() as captured:
        session()
        session(headers={**requests.utils.default_headers(), "x-request-id": "1"})
        session(auth=("user", "one"))
        session(auth=("user", "two"))
        session(verify=False)
        requests.get(server.url("/fixed"), auth=("user", "one"), timeout=5)
        for password in ("a", "a", "b"):
            requests.get(server.url("/digest"), auth=HTTPDigestAuth("user", password), timeout=5)
    plain, same, one, two, unverified, also_one, digest, digest_again, other_digest = (
        client.settings for client in captured.clients
    )
    assert plain == same
    assert one == also_one
    assert digest == digest_again
    assert len({plain, one, two, unverified, digest, other_digest}) == 6


def test_sessions_alive_before(server: Running) -> None:
    session = requests.Session()
    session.get(server.url("/fixed"))
    with capture() as captured:
        session.get(server.url("/fixed"))
        session.close()
    (client,) = captured.clients
    assert (client.kind, client.created_at, client.call_site, client.requests) == (
        "requests.Session",
        None,
        None,
        1,
    )
    assert captured.exchanges[0].reused is True
    assert captured.exchanges[0].request_number is None
    assert captured.connections[0].opened_at is None


def test_a_closed_session_goes_on(server: Running) -> None:
    with capture() as captured:
        session = requests.Session()
        session.close()
        session.get(server.url("/fixed"))
        session.close()
    assert captured.connections[0].close_reason == "client_close"
    assert captured.exchanges[0].client == captured.clients[0].id


def test_a_session_shared_by_threads(server: Running) -> None:
    with capture() as captured, requests.Session() as session:
        all_there = threading.Barrier(4)  # the id of a thread that ends early goes to the next thread

        def work() -> None:
            all_there.wait()
            for _ in range(5):
                session.get(server.url("/fixed"))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(captured.exchanges) == 20
    assert len({e.thread for e in captured.exchanges}) == 4
    numbers: dict[int | None, list[int | None]] = {}
    for exchange in captured.exchanges:
        numbers.setdefault(exchange.connection, []).append(exchange.request_number)
    for on_one in numbers.values():
        assert on_one == list(range(1, len(on_one) + 1))


def test_nothing_keeps_a_session_alive(server: Running) -> None:
    with capture() as captured:
        session = requests.Session()
        with pytest.raises(requests.ConnectionError):
            session.get("http://127.0.0.1:1/")
        session.get(server.url("/fixed"))
        del session
        gc.collect()
        captured.settle()
        assert [c.close_kind for c in captured.clients] == ["gc"]
        assert [c.close_reason for c in captured.connections] == [None, "gc"]
