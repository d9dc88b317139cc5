"""Telemetry of real services under ``opentelemetry-instrument``, compared with what their downstream saw."""

from __future__ import annotations

import signal
import sys
from collections import defaultdict
from typing import Any

import pytest

from tests.receiver import Receiver, Signal
from tests.servers import Running
from tests.services.conftest import MEETING, OFFICIAL, serving

pytestmark = pytest.mark.processes

ASKED = 16
PATHS = {
    "django": [f"/work?name={number}{'&meet' if number < MEETING else ''}" for number in range(ASKED)],
    "fastapi": [f"/{path}?name={number}" for number in range(ASKED) for path in ("work", "threads")],
}
WAYS = ("session", "client", "requests", "httpx")
INSTANCE = "service.instance.id"
ID = "poolscope.connection.id"
NUMBER = "poolscope.connection.request_number"


def call_of(span: Signal) -> str:
    url = span.attributes.get("url.full") or span.attributes["http.url"]
    return str(url.rpartition("call=")[2])


def held_against(downstream: Running, receiver: Receiver, extra: int = 0) -> list[Signal]:
    """Everything that spans say about connections is what the downstream saw; returns the request spans."""
    log = downstream.log()
    requests = [span for span in receiver.spans if span.is_client]
    setups = receiver.named("HTTP connection_setup")
    assert len(log.requests) == len(WAYS) * ASKED + extra
    assert len(requests) == len(log.requests)
    assert len(setups) == log.accepts

    seen = {
        request.path.rpartition("call=")[2]: (connection.serial, request.number)
        for connection in log.connections
        for request in connection.requests
    }
    serials: dict[tuple[str, int], set[int]] = defaultdict(set)
    for span in requests:
        serial, number = seen[call_of(span)]
        serials[span.resource[INSTANCE], span.attributes[ID]].add(serial)
        assert span.attributes[NUMBER] == number
        assert span.attributes["poolscope.connection.reused"] is (number > 1)
        # httpcore may promise an idle connection twice; the second request then takes another.
        waited = span.attributes.get("poolscope.pool.wait_time")
        assert waited is None or (waited > 0.0 and call_of(span).startswith("client-"))
    assert all(len(same) == 1 for same in serials.values())
    assert len(serials) == log.accepts
    assert {(span.resource[INSTANCE], span.attributes[ID]) for span in setups} == set(serials)

    spans = {span.id: span for span in receiver.spans}
    for setup in setups:
        parent = spans[setup.parent]
        assert (parent.attributes[ID], parent.attributes[NUMBER]) == (setup.attributes[ID], 1)
    assert receiver.named("HTTP wait_for_connection") == [], "every pool had room"
    assert all(spans[span.parent].proto.kind in (1, 2) for span in requests if span.parent)
    return requests


def of(receiver: Receiver, metric: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for about, _, value, _ in receiver.points(metric):
        sums[about[INSTANCE]] += value
    return dict(sums)


def sums_agree(downstream: Running, receiver: Receiver, spans: list[Signal]) -> None:
    log = downstream.log()
    assert receiver.total("poolscope.connections.opened") == log.accepts
    assert receiver.total("poolscope.requests") == len(log.requests)
    assert receiver.total("http.client.request.duration") == len(log.requests)
    closed = len(receiver.events("poolscope.connection.closed"))
    assert receiver.total("poolscope.connections.closed") == closed
    by_instance: dict[str, float] = defaultdict(float)
    for span in spans:
        by_instance[span.resource[INSTANCE]] += 1
    assert of(receiver, "poolscope.requests") == by_instance


def options(official: bool, opt_in: str = "") -> dict[str, Any]:
    return {
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "" if official else OFFICIAL,
        "OTEL_SEMCONV_STABILITY_OPT_IN": opt_in,
    }


@pytest.mark.parametrize(
    ("kind", "protocol", "official", "opt_in"),
    [
        ("django", "http/protobuf", False, ""),
        ("django", "grpc", True, "http"),
        ("fastapi", "grpc", False, ""),
        ("fastapi", "http/protobuf", True, ""),
    ],
)
def test_a_service_reports_what_the_downstream_saw(
    kind: str,
    protocol: str,
    official: bool,
    opt_in: str,
    installed: str,
    downstream: Running,
    receiver: Receiver,
) -> None:
    with serving(
        kind, installed, downstream, receiver, protocol=protocol, **options(official, opt_in)
    ) as service:
        service.ask(PATHS[kind])
    spans = held_against(downstream, receiver)
    sums_agree(downstream, receiver, spans)
    scopes = {span.scope for span in spans}
    assert all(scope.startswith("opentelemetry.instrumentation.") == official for scope in scopes)
    served = [span for span in receiver.spans if span.proto.kind == 2]
    assert len(served) == len(PATHS[kind])
    assert {span.parent for span in spans} <= {
        span.id for span in receiver.spans if span.proto.kind in (1, 2)
    }
    assert {via for via, _ in receiver.deliveries} == {protocol}
    if kind == "django":
        assert 1 < len({span.resource[INSTANCE] for span in spans}) <= 4


def test_without_any_opentelemetry_under_run(installed: str, downstream: Running, receiver: Receiver) -> None:
    starter = (sys.executable, "-m", "poolscope", "run", "--quiet", "--otlp", receiver.endpoint("grpc"))
    with serving("django", installed, downstream, receiver, starter=starter) as service:
        service.ask(PATHS["django"])
    assert "did not get" not in service.said
    spans = held_against(downstream, receiver)
    sums_agree(downstream, receiver, spans)
    assert {span.scope for span in spans} == {"poolscope"}
    assert 1 < len({span.resource["process.pid"] for span in spans}) <= 4


def test_a_service_that_flushes_at_its_end_loses_nothing_at_sigterm(
    installed: str, downstream: Running, receiver: Receiver
) -> None:
    """Kubernetes sends it, and uvicorn ends without Python's exit handlers."""
    env: dict[str, Any] = {"FLUSH_AT_END": "1", "OTEL_METRIC_EXPORT_INTERVAL": "60000"} | options(
        official=False
    )
    with serving("fastapi", installed, downstream, receiver, protocol="http/protobuf", **env) as service:
        service.ask(PATHS["fastapi"])
        service.stop(signal.SIGTERM)
    spans = held_against(downstream, receiver)
    sums_agree(downstream, receiver, spans)


def test_requests_from_before_the_fork_are_reported_once(
    installed: str, downstream: Running, receiver: Receiver
) -> None:
    # A gRPC channel that has been used would not survive the fork (grpc/grpc, doc/fork_support.md).
    env: dict[str, Any] = {"ASK_BEFORE_FORK": "1", "OTEL_METRIC_EXPORT_INTERVAL": "60000"} | options(
        official=False
    )
    protocol = "http/protobuf"
    with serving("django", installed, downstream, receiver, "--preload", protocol=protocol, **env) as service:
        service.ask(PATHS["django"])
    spans = held_against(downstream, receiver, extra=1)
    sums_agree(downstream, receiver, spans)
    assert len({span.resource[INSTANCE] for span in spans}) > 2
