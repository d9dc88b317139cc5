"""docs/facts.md is true: a fact that it calls known has a value, and a fact that it calls unknown has none.

Each fact is looked at where it must be known, so null everywhere passes nothing. The page names the tests that prove
the values right; these tests prove the others.
"""

from __future__ import annotations

import ast
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

import poolscope.testing
from poolscope import records
from stack.running import free_port
from tests.servers import Certificates, Scripted, ServerConfig, in_thread, scripted
from tests.truth.probes import PROBES, Options
from tests.truth.watching import watch

pytestmark = pytest.mark.load

HOUSE = Path(__file__).resolve().parents[2]
COLUMNS = ("httpx-sync", "httpx-asyncio", "requests", "urllib3", "aiohttp")
YES, NO = "yes", "–"
ROW = re.compile(r"^\| `([\w. ]+)` \| (.+?) \| `([^`]+)` \|$", re.MULTILINE)
ROWS = {
    fact: (dict[str, str](zip(COLUMNS, cells.split(" | "), strict=True)), test)
    for fact, cells, test in ROW.findall((HOUSE / "docs" / "facts.md").read_text("utf-8"))
}
Capture = poolscope.testing.Capture
DEAD, ALIVE, NAME = "127.0.0.2", "127.0.0.1", "several.test"


# Scenarios


def two_requests(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with in_thread() as server, watch(name) as (probe, captured):
        for number in range(2):
            assert probe.get(f"http://localhost:{server.port}/fixed/{number}") is None
        probe.close()
    return captured


def in_its_loop(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with PROBES[name]() as probe, poolscope.testing.capture() as captured:
        portal = getattr(probe, "portal", None)
        if portal is None or name == "aiohttp":
            probe.build(Options())
        else:
            portal.call(probe.build, Options())
        probe.close()
    return captured


def over_tls(name: str, trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    certificate = _CERTIFICATES[0].server
    config = ServerConfig(certificate=certificate)
    with in_thread(config) as server, watch(name, trust=trusted) as (probe, captured):
        assert probe.get(server.url("/fixed/1")) is None
    return captured


def refused(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with watch(name) as (probe, captured):
        assert probe.get(f"http://127.0.0.1:{free_port()}/") is not None
    return captured


def a_dead_address(name: str, _trusted: ssl.SSLContext, patch: pytest.MonkeyPatch) -> Capture:
    """A name with two addresses, of which the first refuses."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (NAME, NAME.encode()):
            return real(host, port, *args, **kwargs)
        return [answer for address in (DEAD, ALIVE) for answer in real(address, port, 0, socket.SOCK_STREAM)]

    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    with in_thread() as server, watch(name) as (probe, captured):
        assert probe.get(f"http://{NAME}:{server.port}/fixed/1") is None
    return captured


def says_how_long(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.answer(b"ok", "200 OK", "Keep-Alive: timeout=7")
            peer.wait_for_close()

    with scripted(script) as server, watch(name) as (probe, captured):
        assert probe.get(server.url()) is None
        probe.close()
    return captured


def asked_to_close(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with in_thread() as server, watch(name) as (probe, captured):
        assert probe.get(server.url("/fixed/1"), headers={"Connection": "close"}) is None
        probe.close()
    return captured


def closed_without_a_word(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    """By the server; the program's next request finds out, and needs another connection."""

    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.answer()
            peer.half_close()
            server.reached.set()
            peer.wait_for_close()

    with scripted(script) as server, in_thread() as other, watch(name) as (probe, captured):
        assert probe.get(server.url()) is None
        server.wait_for_script()
        assert probe.get(other.url("/fixed/1")) is None
        probe.close()
    return captured


def open_at_the_end(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with in_thread() as server, PROBES[name]() as probe:
        with poolscope.testing.capture() as captured:
            probe.build(Options())
            for number in range(2):
                assert probe.get(server.url(f"/fixed/{number}")) is None
        probe.close()
    return captured


def one_too_many(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with in_thread() as server, watch(name, max_idle=1) as (probe, captured):
        one, two = probe.open(server.url("/size/10/1")), probe.open(server.url("/size/10/2"))
        probe.read(one)
        probe.read(two)
        probe.close()
        del one, two
    return captured


def cut(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with in_thread() as server, watch(name) as (probe, captured):
        probe.get(server.url("/cut/1"))
    return captured


def redirected(name: str, _trusted: ssl.SSLContext, _patch: pytest.MonkeyPatch) -> Capture:
    with in_thread() as server, watch(name) as (probe, captured):
        if name.startswith("httpx"):
            probe.client.follow_redirects = True
        if name == "urllib3":
            probe.client.request("GET", server.url("/redirect/fixed"), retries=2)
        else:
            assert probe.get(server.url("/redirect/fixed")) is None
    return captured


# The facts


Scenario = Callable[[str, ssl.SSLContext, pytest.MonkeyPatch], Capture]


@dataclass(frozen=True)
class Fact:
    """Where a fact must be known, and its value there."""

    scenario: Scenario
    of: Callable[[Capture], list[Any]]
    right: Callable[[Any], bool] = lambda value: value is not None


def connection(name: str, scenario: Scenario = two_requests, right: Any = None) -> Fact:
    def of(captured: Capture) -> list[Any]:
        return [getattr(each, name) for each in captured.connections]

    return Fact(scenario, of, right) if right else Fact(scenario, of)


def newest(name: str, scenario: Scenario = two_requests, right: Any = None) -> Fact:
    def of(captured: Capture) -> list[Any]:
        return [getattr(captured.exchanges[-1], name)]

    return Fact(scenario, of, right) if right else Fact(scenario, of)


def client(name: str, right: Any = None) -> Fact:
    def of(captured: Capture) -> list[Any]:
        return [getattr(each, name) for each in captured.clients]

    return Fact(two_requests, of, right) if right else Fact(two_requests, of)


def pool(name: str) -> Fact:
    return Fact(two_requests, lambda captured: [getattr(each, name) for each in captured.pools])


def busy(name: str, scenario: Scenario = two_requests) -> Fact:
    """How long the program itself was busy in a phase."""
    return Fact(
        scenario,
        lambda captured: [each.setup[name].busy for each in captured.connections],
        lambda busy: busy >= 0,
    )


def phase(name: str, scenario: Scenario = two_requests) -> Fact:
    return Fact(scenario, lambda captured: [each.setup.get(name) for each in captured.connections])


FACTS: dict[str, Fact] = {
    "client.call_site": client("call_site"),
    "client.construction_time": client("construction_time", lambda took: took > 0),
    "client.ca_time": client("ca_time", lambda took: took >= 0),
    "client.loop": Fact(in_its_loop, lambda captured: [each.loop for each in captured.clients]),
    "client.close_kind": client("close_kind", lambda how: how == "close"),
    "client.requests": client("requests", lambda count: count == 2),
    "pool.max_connections": pool("max_connections"),
    "pool.max_idle": pool("max_idle"),
    "pool.keepalive_expiry": pool("keepalive_expiry"),
    "pool.blocking": pool("blocking"),
    "connection.via": connection("via", right=lambda via: via == "direct"),
    "connection.local_address": connection("local_address"),
    "connection.peer_address": connection("peer_address"),
    "connection.setup.dns": phase("dns"),
    "connection.setup.connect": phase("connect"),
    "connection.setup.tls": phase("tls", over_tls),
    "connection.setup.dns.busy": busy("dns"),
    "connection.setup.connect.busy": busy("connect"),
    "connection.setup.tls.busy": busy("tls", over_tls),
    "connection.attempts": connection("attempts", a_dead_address),
    "connection.lost_time": connection("lost_time", a_dead_address, lambda lost: lost > 0),
    "connection.peer_address of a failed connect": connection(
        "peer_address", refused, lambda address: address == "127.0.0.1"
    ),
    "connection.failed_phase": connection("failed_phase", refused, lambda phase: phase == "connect"),
    "connection.error_type": connection("error_type", refused, lambda error: error == "connection_refused"),
    "connection.http_version": connection("http_version", right=lambda version: version == "1.1"),
    "connection.tls_version": connection("tls_version", over_tls, lambda version: version == "TLSv1.3"),
    "connection.cipher": connection("cipher", over_tls),
    "connection.resumed": connection("resumed", over_tls),
    "connection.ca_time": connection("ca_time", over_tls),
    "connection.opened_by": connection("opened_by"),
    "connection.requests": connection("requests", right=lambda count: count == 2),
    "connection.server_keepalive": connection(
        "server_keepalive", says_how_long, lambda seconds: seconds == 7
    ),
    "connection.first_length": connection("first_length", says_how_long, lambda length: length == 2),
    "connection.close_time": connection("close_time", right=lambda took: took >= 0),
    "connection.close_reason": connection("close_reason", right=lambda why: why == "client_close"),
    "connection.closed_by": connection("closed_by", right=lambda who: who == "client"),
    "connection.closed_by after a silent close": Fact(
        closed_without_a_word,
        lambda captured: [captured.connections[0].closed_by],
        lambda who: who == "server",
    ),
    "connection.close_reason of a request that asked for it": connection(
        "close_reason", asked_to_close, lambda why: why == "connection_close_header"
    ),
    "connection.requests of an open connection": connection(
        "requests", open_at_the_end, lambda count: count == 2
    ),
    "connection.idle_left": Fact(
        one_too_many,
        lambda captured: [
            each.idle_left for each in captured.connections if each.close_reason != "client_close"
        ],
        lambda left: left in (0, 1),
    ),
    "connection.loop": connection("loop"),
    "exchange.call_site": newest("call_site"),
    "exchange.thread": newest("thread"),
    "exchange.task": newest("task"),
    "exchange.loop": newest("loop"),
    "exchange.request_number": newest("request_number", right=lambda number: number == 2),
    "exchange.reused": newest("reused", right=lambda reused: reused is True),
    "exchange.idle_time": newest("idle_time", right=lambda idle: idle > 0),
    "exchange.pool_wait": newest("pool_wait", right=lambda waited: waited >= 0),
    "exchange.sent_at": newest("sent_at"),
    "exchange.headers_at": newest("headers_at"),
    "exchange.finished_at": newest("finished_at"),
    "exchange.status": newest("status", right=lambda status: status == 200),
    "exchange.body_complete": newest("body_complete", right=lambda complete: complete is True),
    "exchange.in_flight": newest("in_flight", right=lambda count: count == 1),
    "exchange.error": newest("error", cut),
    "exchange.error_type": newest("error_type", cut, lambda error: error == "body_cut"),
    "exchange.failed_setup": newest("failed_setup", refused),
    "exchange.relation": newest("relation", redirected, lambda relation: relation == "redirect"),
    "exchange.previous": newest("previous", redirected),
}


_CERTIFICATES: list[Certificates] = []
_CAPTURED: dict[tuple[Scenario, str], Capture] = {}


@pytest.fixture(autouse=True)
def _with_certificates(certificates: Certificates) -> None:
    _CERTIFICATES[:] = [certificates]


def learned(fact: Fact, name: str, patch: pytest.MonkeyPatch) -> list[Any]:
    """The values of the fact after its scenario, which runs once for each library."""
    key = fact.scenario, name
    if key not in _CAPTURED:
        _CAPTURED[key] = fact.scenario(name, _CERTIFICATES[0].trusting(), patch)
    return fact.of(_CAPTURED[key])


@pytest.mark.parametrize("name", COLUMNS)
def test_what_the_page_says_is_known_is_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {}
    for fact, (cells, _) in ROWS.items():
        known = learned(FACTS[fact], name, monkeypatch)
        if cells[name] == YES:
            right = known and all(value is not None and FACTS[fact].right(value) for value in known)
        else:
            right = all(value is None for value in known)  # what was not observed is absent, never 0
        if not right:
            wrong[fact] = cells[name], known
    assert wrong == {}


def test_the_page_has_every_fact_and_every_cell_is_a_word() -> None:
    assert list(ROWS) == list(FACTS)
    assert {word for cells, _ in ROWS.values() for word in cells.values()} == {YES, NO}


def test_the_tests_that_the_page_names_are_there() -> None:
    for file, _, test in {test.partition("::") for _, test in ROWS.values()}:
        functions = ast.walk(ast.parse((HOUSE / "tests" / file).read_text("utf-8")))
        assert test in [node.name for node in functions if isinstance(node, ast.FunctionDef)]


BOOKKEEPING = {
    "client": {"pid", "id", "kind", "created_at", "closed_at", "sdk_call_site", "settings", "apart_from_credentials",
               "inherited_from"},
    "pool": {"pid", "id", "client"},
    "connection": {
        "pid", "id", "client", "pool", "origin", "local_port", "peer_port", "setup_started_at", "opened_at", "setup",
        "idle_since", "inherited", "closed_at", "error", "span",
    },
    "exchange": {
        "pid", "id", "connection", "client", "pool", "origin", "method", "url", "failed_attempts", "started_at",
        "state", "open_at_exit", "span",
    },
}  # fmt: skip
"""Fields of the page that are names, counts or references."""
OF_SOME_REQUESTS = {
    "connection": {"alpn", "max_streams"},
    "exchange": {"joined", "stream_id", "waited_for", "holders", "route", "served", "served_call"},
}
"""Facts about HTTP/2, full pools and requests to the program's own server."""


@pytest.mark.parametrize("record", [records.Client, records.Pool, records.Connection, records.Exchange])
def test_no_field_of_a_record_is_forgotten(record: Any) -> None:
    kind = record.type
    documented = {fact.split(".")[1].split(" ")[0] for fact in FACTS if fact.startswith(f"{kind}.")}
    left = (
        {field.name for field in fields(record)}
        - documented
        - BOOKKEEPING[kind]
        - OF_SOME_REQUESTS.get(kind, set())
    )
    assert left == set(), "the page must say of which library it is known"
