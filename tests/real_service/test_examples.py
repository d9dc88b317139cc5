"""Every program of examples/ against Django behind Caddy and against the demo's server, over http and https.

The figures are counts. What each run says of its connections is compared with what the service counted.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.real_service.conftest import Target
from tests.real_service.observed import HOUSE, Seen, Use

pytestmark = pytest.mark.processes

TRIED = {
    "debug_log",
    "https_both_ways",
    "httpx_all_at_once",
    "httpx_client_per_call",
    "httpx_shared",
    "pool_too_small",
    "requests_per_call",
    "requests_session",
    "seed",
    "server_closes",
    "unread_body",
}


def test_no_example_is_left_out() -> None:
    assert {path.stem for path in (HOUSE / "examples").glob("*.py")} == TRIED


def one_each(use: Use, count: int) -> None:
    """As many clients and connections as requests."""
    assert use.figures == (count, count, count)
    assert not use.reused
    assert use.closes == {"client_close": count}
    assert {connection.requests for connection in use.connections} == {1}


def one_for_all(use: Use, count: int) -> None:
    assert use.figures == (1, count, 1)
    assert len(use.reused) == count - 1
    assert [exchange.request_number for exchange in use.exchanges] == list(range(1, count + 1))
    assert use.closes == {"client_close": 1}


def only_the_client_in_its_loop(seen: Seen) -> bool:
    """No finding except a client that loads its certificates inside a running loop."""
    return {(finding.code, finding.severity) for finding in seen.findings} <= {("PS126", "info")}


def elapsed(seen: Seen) -> list[float]:
    """The sum of response.elapsed that the program printed, for each way; seconds."""
    return [
        float(number) for number in re.findall(r"([\d.]+) s in response|adds up to ([\d.]+) s", seen.said) for number in number if number
    ]  # fmt: skip


def test_a_thousand_connections_against_one(target: Target) -> None:
    seen = target.run("seed")
    apart, shared = seen.of("with_get", "requests.get"), seen.of("with_session", "requests.Session")
    one_each(apart, 1_000)
    one_for_all(shared, 1_000)
    assert seen.row("requests.get") == [(1_000, 1_000, 1_000)]
    assert seen.row("requests.Session") == [(1, 1_000, 1)]
    (finding,) = seen.findings
    assert (finding.code, finding.count) == ("PS101", 1_000)
    assert finding.call_site == apart.clients[0].call_site
    # response.elapsed contains setup, whatever its documentation says.
    for printed, use in zip(elapsed(seen), (apart, shared), strict=True):
        answering = sum(exchange.headers_at - exchange.sent_at for exchange in use.exchanges)  # type: ignore[operator,misc]
        assert printed + 0.001 >= use.setup("total") + answering


@pytest.mark.parametrize(
    ("example", "kind", "each"),
    [("requests_per_call", "requests.get", one_each), ("requests_session", "requests.Session", one_for_all)],
)
def test_one_way_at_a_time(target: Target, example: str, kind: str, each: object) -> None:
    seen = target.run(example)
    assert callable(each)
    each(seen.of("<module>", kind), 100)
    assert len(seen.findings) == (each is one_each)
    assert len(elapsed(seen)) == 1


def test_the_debug_log_agrees(target: Target) -> None:
    seen = target.run("debug_log", "20")
    one_each(seen.of("<module>", "requests.get"), 20)
    one_for_all(seen.of("<module>", "requests.Session"), 20)
    assert re.findall(
        r"^(\S+) +20 requests, new connections in the log: (\d+)$", seen.said, re.MULTILINE
    ) == [
        ("requests.get:", "20"),
        ("Session:", "1"),
    ]


@pytest.mark.parametrize("scheme", ["https"])
def test_https_with_and_without_a_session(target: Target) -> None:
    seen = target.run("https_both_ways", public=True)
    apart, shared = seen.of("<module>", "requests.get"), seen.of("<module>", "requests.Session")
    one_each(apart, 100)
    one_for_all(shared, 100)
    for connection in apart.connections + shared.connections:
        assert {"connect", "tls_context", "tls"} <= connection.setup.keys()
        assert connection.tls_version == "TLSv1.3"
        assert connection.setup["tls_context"].duration > 0
    # A hundred certificate bundles against one.
    assert apart.setup("tls_context") > shared.setup("tls_context")
    assert re.search(
        r"cost +building .* · connect .* · tls context .* · tls .*, .* per request", seen.unfolded
    )


def test_a_client_in_a_function_is_a_client_for_every_call(target: Target) -> None:
    seen = target.run("httpx_client_per_call")
    one_each(seen.of("<module>", "httpx.get"), 20)
    one_each(seen.of("fetch", "httpx.Client"), 20)
    one_for_all(seen.of("<module>", "httpx.Client"), 20)
    assert seen.row("httpx.get") == [(20, 20, 20)]
    assert sorted(seen.row("httpx.Client")) == [(1, 20, 1), (20, 20, 20)]
    assert Counter(finding.call_site.function for finding in seen.findings if finding.call_site) == {
        "<module>": 1,
        "fetch": 1,
    }
    assert {finding.count for finding in seen.findings} == {20}


def test_a_shared_client_opens_what_runs_at_a_time(target: Target) -> None:
    seen = target.run("httpx_shared")
    use = seen.of("main", "httpx.AsyncClient")
    assert (len(use.clients), len(use.exchanges)) == (1, 200)
    assert 1 <= len(use.connections) <= 10
    assert len(use.reused) == 200 - len(use.connections)
    assert only_the_client_in_its_loop(seen)


@pytest.mark.parametrize("path", ["", "slow"])
def test_a_burst_opens_connections_again_and_again(target: Target, path: str) -> None:
    seen = target.run("httpx_all_at_once", "150", path=path)
    alone, burst, gated = (seen.of(name) for name in ("one_by_one", "all_at_once", "twenty_at_a_time"))
    one_for_all(alone, 150)
    for use in burst, gated:
        assert (len(use.clients), len(use.exchanges)) == (1, 150)
        assert len(use.reused) == 150 - len(use.connections)
    assert len(gated.connections) <= 20
    assert gated.closes == {"client_close": len(gated.connections)}
    surplus = burst.closes["max_keepalive_surplus"]
    assert surplus > 0
    assert f"{surplus} × max keepalive surplus (the pool keeps 20)" in seen.unfolded
    # On a slow machine, idle connections get older than the five seconds for which they are kept.
    assert burst.closes.keys() <= {"client_close", "max_keepalive_surplus", "keepalive_expired"}
    assert burst.closes["client_close"] <= 20
    found = {(finding.code, finding.severity) for finding in seen.findings}
    assert ("PS111", "info") in found  # httpcore counts all its connections as idle
    # On a slow machine, the requests beyond the pool's hundred wait long enough for PS105.
    assert found <= {("PS105", "info"), ("PS111", "info"), ("PS126", "info")}


@pytest.mark.parametrize("scheme", ["http"])
def test_connections_assigned_in_vain_are_counted(target: Target) -> None:
    seen = target.run("httpx_shared", "1000")
    lost = sum(exchange.failed_attempts for exchange in seen.exchanges)
    assert lost > 0
    assert f"{lost:,} × the assigned one was taken already" in seen.unfolded


def test_unread_answers_cost_their_connections(target: Target) -> None:
    use = target.run("unread_body").of("<module>", "requests.Session")
    assert use.figures == (1, 20, 20)
    assert use.closes == {"response_not_read": 20}
    assert {exchange.body_complete for exchange in use.exchanges} == {False}


def test_more_threads_than_the_pool_keeps(target: Target) -> None:
    seen = target.run("pool_too_small")
    use = seen.of("<module>", "requests.Session")
    assert (len(use.clients), len(use.exchanges)) == (1, 100)
    assert len(use.reused) == 100 - len(use.connections)
    assert use.closes["client_close"] <= 10 < len(use.connections)
    assert use.closes == {
        "client_close": use.closes["client_close"],
        "pool_full": len(use.connections) - use.closes["client_close"],
    }
    assert f"{use.closes['pool_full']} × pool full (the pool keeps 10)" in seen.report


def test_a_server_that_closes_is_not_the_clients_fault(target: Target) -> None:
    seen = target.run("server_closes")
    use = seen.of("<module>", "requests.Session")
    assert use.figures == (1, 20, 20)
    assert use.closes == {"connection_close_header": 20}
    assert {connection.closed_by for connection in use.connections} == {"server"}
    assert [finding.code for finding in seen.findings] == ["PS106"]
