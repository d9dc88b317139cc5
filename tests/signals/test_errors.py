"""One vocabulary of errors: each failure, caused for real, has the same name in every library and signal."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import trio

from poolscope.facts import ERROR_TYPES, ErrorType
from poolscope.signals.errors import WORDS
from poolscope.story.failures import seen
from tests.servers import Certificates, in_thread
from tests.signals.telemetry import Telemetry
from tests.truth import setup_failures as ways
from tests.truth.probes import URLLIB3, Probe
from tests.truth.setup_failures import Cause
from tests.truth.test_given_up import body, stopping_in
from tests.truth.watching import LEAVES_SOCKETS, watch

PATIENCES = (0.3, 1.0, 5.0)
"""Seconds; a machine that stops for longer gets the next one."""
LIBRARIES = ["urllib3", "requests", "httpx-sync", "httpx-asyncio", "httpx2-trio", "aiohttp"]

Act = Callable[[Probe, Cause, float], Any]


def asks(probe: Probe, cause: Cause, _: float) -> None:
    assert probe.get(cause.url) is not None


def loses_patience(probe: Probe, cause: Cause, patience: float) -> None:
    assert probe.get(cause.url, timeout=patience) is not None


def sends_much(probe: Probe, cause: Cause, patience: float) -> None:
    assert probe.get(cause.url, timeout=patience, body=body()) is not None


def asks_beside_another(probe: Probe, cause: Cause, patience: float) -> None:
    """All connections that the pool can make are in use."""
    held = probe.open(cause.url)
    if "urllib3" in probe.tags:
        with pytest.raises(Exception, match="Pool is empty"):
            probe.client.request("GET", cause.url, pool_timeout=patience)
    else:
        assert probe.get(cause.url, timeout=patience) in ("PoolTimeout", "TimeoutError")
    probe.leave(held)


def answering(path: str) -> Callable[[Certificates], AbstractContextManager[Cause]]:
    @contextmanager
    def failure(_: Certificates) -> Iterator[Cause]:
        with in_thread() as server:
            yield Cause(server.url(path))

    return failure


@contextmanager
def not_reading(_: Certificates) -> Iterator[Cause]:
    with stopping_in("writing") as server:
        yield Cause(server.url())
        server.go.set()


@contextmanager
def with_a_small_pool(_: Certificates) -> Iterator[Cause]:
    with in_thread() as server:
        yield Cause(server.url("/size/1000000/1"), {"max_connections": 1, "max_idle": 1})


@dataclass(frozen=True)
class Row:
    way: Callable[[Certificates], AbstractContextManager[Cause]]
    phase: str | None = None
    act: Act = asks
    in_body: bool = False
    libraries: tuple[str, ...] = tuple(LIBRARIES)


ROWS: dict[ErrorType, Row] = {
    "dns_error": Row(ways.name_not_resolved, "dns"),
    "connection_refused": Row(ways.refused, "connect"),
    "connect_timeout": Row(ways.connect_unanswered, "connect", loses_patience),
    "tls_certificate": Row(ways.untrusted, "tls"),
    "tls_error": Row(ways.speaks_plain, "tls"),
    "proxy_error": Row(ways.tunnel_forbidden, "proxy_tunnel"),
    # requests has no pool timeout.
    "pool_timeout": Row(with_a_small_pool, None, asks_beside_another,
                        libraries=tuple(name for name in LIBRARIES if name != "requests")),
    "write_timeout": Row(not_reading, None, sends_much),
    "read_timeout": Row(answering("/silence/1"), None, loses_patience),
    "response_ended": Row(answering("/drop/1")),
    "protocol_error": Row(answering("/garbage/1")),
    "body_cut": Row(answering("/cut/1"), in_body=True),
    "reset": Row(answering("/reset/1"), in_body=True),
}  # fmt: skip


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ways.names_of_our_own(monkeypatch):
        yield


def _each() -> Iterator[Any]:
    for type_, row in ROWS.items():
        for name in row.libraries:
            yield pytest.param(type_, name, marks=() if name in URLLIB3 else LEAVES_SOCKETS)


@pytest.mark.parametrize(("type_", "name"), [*_each()])
def test_a_failure_has_one_name(
    type_: ErrorType, name: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs/dup")
    row = ROWS[type_]
    telemetry, points, captured, cause = _caused(row, name, certificates, PATIENCES[0])
    for patience in PATIENCES[1:]:
        if not _got_as_far(type_, captured):
            telemetry, points, captured, cause = _caused(row, name, certificates, patience)
    types = dict(_of_request(telemetry, points, captured, row))
    if row.phase is not None:
        types |= _of_setup(telemetry, points, captured, row.phase)
    else:
        types |= _of_connection(telemetry, captured, type_)
    assert types == {signal: {type_} for signal in types}
    assert cause.url.rpartition("/")[2] not in {
        word for span in telemetry.spans for word in (span.status.description or "").split("/")
    } - {""}


def _caused(
    row: Row, name: str, certificates: Certificates, patience: float
) -> tuple[Telemetry, dict[str, Any], Any, Cause]:
    telemetry = Telemetry()
    with row.way(certificates) as cause, telemetry.instrumented():
        with watch(name, **cause.options) as (probe, captured):
            if row.act is asks_beside_another and name == "urllib3":
                probe.client.connection_pool_kw["block"] = True
            row.act(probe, cause, patience)
        points = {each.name: each.data.data_points for each in telemetry.everything()}
    gc.collect()  # connections that the client left open belong to this test, not to the next one
    return telemetry, points, captured, cause


def _got_as_far(type_: ErrorType, captured: Any) -> bool:
    """Whether it lost its patience where it should: nothing before that takes time, except on a machine that stops."""
    if type_ == "read_timeout":
        return all(each.sent_at is not None for each in captured.exchanges)
    if type_ == "write_timeout":
        return all(each.opened_at is not None for each in captured.connections)
    return True


def _of_request(telemetry: Any, points: Any, captured: Any, row: Row) -> Iterator[tuple[str, Any]]:
    yield "file", {each.error_type for each in captured.exchanges if each.error}
    if row.in_body:
        (span,) = telemetry.requests
        assert span.status.status_code.name == "UNSET", "it was over when the headers came"
        (event,) = telemetry.events("poolscope.response.failed")
        assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)
        assert event.body.startswith("response 200: ")
        yield "event of the response", {event.attributes["error.type"]}
        yield "counter", _errors(points["poolscope.responses.failed"])
        return
    failed = [span for span in telemetry.requests if span.status.status_code.name == "ERROR"]
    yield "span", {span.attributes["error.type"] for span in failed}
    yield "duration", _errors(points["http.client.request.duration"])
    span = failed[0]  # aiohttp tries once more when a server hangs up
    (record,) = span.events
    assert record.name == "exception"
    assert record.attributes["exception.message"] == span.status.description
    (logged, *_) = telemetry.events("http.client.request.exception")
    assert (logged.trace_id, logged.body) == (span.context.trace_id, span.status.description)
    yield "record of the exception", {logged.attributes["error.type"]}
    if row.phase is not None:
        (failed_setup,) = {each.failed_setup for each in captured.exchanges}
        assert span.attributes["poolscope.connection.id"] == failed_setup == captured.connections[0].id


def _of_setup(telemetry: Any, points: Any, captured: Any, phase: str) -> dict[str, Any]:
    (setup,) = telemetry.named("HTTP connection_setup")
    (broken,) = [
        span
        for span in telemetry.spans
        if span.parent == setup.context and span.status.status_code.name == "ERROR"
    ]
    assert setup.status.description == broken.status.description
    assert f"in {phase}" in setup.status.description
    (event,) = telemetry.events("poolscope.connection.setup_failed")
    assert event.attributes["poolscope.setup.phase"] == phase
    counted = [point for point in points["poolscope.connections.failed"] if point.value]
    assert [point.attributes["poolscope.setup.phase"] for point in counted] == [phase]
    types = {
        "setup": {setup.attributes["error.type"]},
        "event": {event.attributes["error.type"]},
        "counter": _errors(counted),
        "setup duration": _errors(points["poolscope.connection.setup.duration"]),
        "file of the connection": {each.error_type for each in captured.connections},
    }
    if phase == "dns":  # getaddrinfo has its own codes here
        assert broken.attributes["error.type"] == "host_not_found"
        assert _errors(points["dns.lookup.duration"]) == {"host_not_found"}
    else:
        types["phase"] = {broken.attributes["error.type"]}
    return types


def _of_connection(telemetry: Any, captured: Any, type_: ErrorType) -> dict[str, Any]:
    if type_ == "pool_timeout":
        assert telemetry.total("poolscope.pool.timeouts") == 1
        (wait,) = telemetry.named("HTTP wait_for_connection")
        return {"wait": {wait.attributes["error.type"]}}
    event, *_ = telemetry.events("poolscope.connection.closed")
    return {
        "event": {event.attributes["error.type"]},
        "file of the connection": {each.error_type for each in captured.connections},
    }


def _errors(points: Any) -> set[str]:
    return {point.attributes["error.type"] for point in points if "error.type" in point.attributes}


def test_errors_outside_the_table_cannot_be_caused_here() -> None:
    assert set(ERROR_TYPES) - set(ROWS) == {"connection_error", "_OTHER"}
    assert get_args(ErrorType) == ERROR_TYPES
    assert set(WORDS) == set(ERROR_TYPES)


@pytest.mark.parametrize("name", ["httpx-asyncio", "httpx2-trio", "aiohttp"])
@pytest.mark.parametrize("way", [ways.handshake_unanswered, ways.connect_unanswered, answering("/silence/1")])
@LEAVES_SOCKETS
def test_a_cancellation_is_no_error(name: str, way: Any, certificates: Certificates, telemetry: Any) -> None:
    from tests.truth.watching import until

    with way(certificates) as cause, telemetry.instrumented():
        with watch(name, **cause.options) as (probe, captured):
            asked = probe.begin(probe.getting(cause.url))
            if cause.stuck is not None:
                assert cause.stuck.wait(10)
            until(lambda: telemetry.points("http.client.active_requests"))
            asked.cancel()
            until(lambda: telemetry.total("http.client.request.duration"))
        metrics = telemetry.everything()
    gc.collect()
    assert {span.status.status_code.name for span in telemetry.spans} == {"UNSET"}
    assert not any("error.type" in span.attributes for span in telemetry.spans)
    for metric in metrics:
        for point in metric.data.data_points:
            assert "error.type" not in point.attributes, metric.name
            assert metric.name != "poolscope.connections.failed" or point.value == 0
    assert all(
        "error.type" not in each.log_record.attributes for each in telemetry.log_exporter.get_finished_logs()
    )
    records: list[Any] = [*captured.connections, *captured.exchanges]
    assert {each.error_type for each in records} == {None}


@pytest.mark.parametrize(
    ("asked", "on_span", "as_log"), [("", True, False), ("logs", False, True), ("logs/dup", True, True)]
)
def test_an_exception_is_recorded_as_the_conventions_are_asked_to(
    asked: str, on_span: bool, as_log: bool, monkeypatch: pytest.MonkeyPatch, telemetry: Any
) -> None:
    import requests

    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", asked)
    with telemetry.instrumented(), pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:1/secret?key=secret", timeout=5)
    (span,) = telemetry.requests
    assert span.status.description == "connection refused [ECONNREFUSED] (127.0.0.1:1)"
    assert bool(span.events) is on_span
    records = telemetry.events("http.client.request.exception")
    assert bool(records) is as_log
    for about in [event.attributes for event in span.events] + [record.attributes for record in records]:
        assert about["exception.type"] == "urllib3.exceptions.NewConnectionError"
        assert about["exception.message"] == span.status.description
    for record in records:
        assert (record.trace_id, record.span_id) == (span.context.trace_id, span.context.span_id)
        assert record.severity_text == "WARN"
        assert record.body == span.status.description


def test_which_exceptions_are_cancellations() -> None:
    for error in (asyncio.CancelledError(), GeneratorExit(), trio.Cancelled._create(source="deadline")):
        assert seen(error).kind == "cancelled"
    assert seen(TimeoutError()).kind == "timeout"
    assert (
        seen(ExceptionGroup("both", [ConnectionRefusedError(111, "x"), OSError(113, "y")])).kind == "refused"
    )
