"""The judge is judged: true records pass, and every kind of false record is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import poolscope.testing
from poolscope import records
from tests.servers import Certificates, ServerConfig, ServerLog, in_thread
from tests.truth import judge_http2
from tests.truth.drivers import DRIVERS, Load, urllib3_threads
from tests.truth.judge import Verdict, judge
from tests.truth.workload import Job

Evidence = tuple[list[records.Connection], list[records.Exchange], ServerLog]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Two requests on one connection, a third on another."""
    paths = ["/fixed/1", "/close/2", "/fixed/3"]
    with in_thread() as server, poolscope.testing.capture() as captured:
        urllib3_threads(Load(server.origin, map(Job, paths), 1, True))
        log = server.settled(lambda log: log.open == 0)
    return captured.connections, captured.exchanges, log


def _after(evidence: Evidence, **changes: object) -> Verdict:
    """The verdict with the second exchange falsified."""
    connections, exchanges, log = evidence
    first, second, third = exchanges
    return judge(connections, [first, replace(second, **changes), third], log)  # type: ignore[arg-type]


def test_the_truth_passes(evidence: Evidence) -> None:
    verdict = judge(*evidence)
    assert verdict.wrong == []
    assert (verdict.opens, verdict.exchanges, verdict.never_sent, verdict.unanswered) == (2, 3, 0, 0)
    assert verdict.reasons == {"connection_close_header": 1, "client_close": 1}


FALSIFIED: dict[str, Callable[[records.Exchange], dict[str, object]]] = {
    "request numbers": lambda true: {"request_number": 3},
    "reused": lambda true: {"reused": False},
    "idle time": lambda true: {"idle_time": 10.0},
    "order of times": lambda true: {"headers_at": true.started_at},
    "headers before the answer": lambda true: {"sent_at": true.started_at, "headers_at": true.started_at},
    "connection or number": lambda true: {"url": "http://127.0.0.1/fixed/1"},
    "request we did not see": lambda true: {"connection": 10**9},
    "exchange without connection": lambda true: {"connection": 10**9},
    "number missing": lambda true: {"request_number": None},
}


@pytest.mark.parametrize("kind", FALSIFIED)
def test_a_false_exchange_is_found(evidence: Evidence, kind: str) -> None:
    verdict = _after(evidence, **FALSIFIED[kind](evidence[1][1]))
    assert any(wrong.startswith(f"{kind}:") for wrong in verdict.wrong), verdict


def test_two_connections_mistaken_for_each_other_are_found(evidence: Evidence) -> None:
    connections, exchanges, log = evidence
    one, two = connections
    swapped = [replace(one, local_port=two.local_port), replace(two, local_port=one.local_port)]
    assert any(wrong.startswith("connection or number:") for wrong in judge(swapped, exchanges, log).wrong)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"closed_at": None}, "not closed"),
        ({"close_reason": "unknown"}, "reason"),
        ({"close_reason": "timeout"}, "reason"),
        ({"requests": 7}, "count of requests"),
        ({"local_port": 1}, "opens differ from accepts"),
    ],
)
def test_a_false_connection_is_found(evidence: Evidence, changes: dict[str, object], kind: str) -> None:
    connections, exchanges, log = evidence
    false = replace(connections[0], **changes)  # type: ignore[arg-type]
    verdict = judge([false, connections[1]], exchanges, log)
    assert any(wrong.startswith(f"{kind}:") for wrong in verdict.wrong), verdict


def test_a_connection_we_did_not_see_is_found(evidence: Evidence) -> None:
    connections, exchanges, log = evidence
    verdict = judge(connections[:1], exchanges, log)
    assert any(wrong.startswith("opens differ from accepts:") for wrong in verdict.wrong), verdict


@pytest.fixture(scope="module")
def streams(certificates: Certificates) -> Evidence:
    """Four requests at once on one HTTP/2 connection."""
    jobs = [Job("/slow/20/1"), Job("/slow/20/2"), Job("/slow/20/3"), Job("/fixed/4")]
    (driver,) = (driver for driver in DRIVERS if str(driver) == "httpx-asyncio")
    config = ServerConfig("http2", certificate=certificates.server)
    with in_thread(config) as server, poolscope.testing.capture() as captured:
        driver.run(Load(server.origin, jobs, 8, authority=certificates.authority, http2=True))
        log = server.settled(lambda log: log.open == 0)
    return captured.connections, captured.exchanges, log


def test_the_truth_about_streams_passes(streams: Evidence) -> None:
    verdict = judge_http2.judge(*streams)
    assert verdict.wrong == []
    assert (verdict.opens, verdict.exchanges) == (1, 4)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"stream_id": 1}, "stream used twice"),
        ({"stream_id": 99, "request_number": 50}, "streams"),
        ({"request_number": 4}, "number is not its stream's"),
        ({"url": "https://localhost/slow/20/9"}, "connection or stream"),
        ({"joined": False}, "joined"),
        ({"reused": True}, "reused"),
        ({"idle_time": 0.1}, "idle with others in flight"),
        ({"headers_at": 0.0}, "order of times"),
        ({"connection": None}, "exchange without connection"),
    ],
)
def test_every_falsehood_about_a_stream_is_found(
    streams: Evidence, changes: dict[str, object], kind: str
) -> None:
    connections, exchanges, log = streams
    second = next(exchange for exchange in exchanges if exchange.stream_id == 3)
    falsified = [replace(x, **changes) if x is second else x for x in exchanges]  # type: ignore[arg-type]
    verdict = judge_http2.judge(connections, falsified, log)
    assert kind in {wrong.partition(":")[0] for wrong in verdict.wrong}


@pytest.mark.parametrize("changes", [{"close_reason": "exchange_failed"}, {"close_reason": "http2_goaway"}])
def test_a_false_reason_on_http2_is_found(streams: Evidence, changes: dict[str, object]) -> None:
    connections, exchanges, log = streams
    verdict = judge_http2.judge([replace(connections[0], **changes)], exchanges, log)  # type: ignore[arg-type]
    assert [wrong.partition(":")[0] for wrong in verdict.wrong] == ["reason"]
