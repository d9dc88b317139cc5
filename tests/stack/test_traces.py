"""What Jaeger knows of the two services: setups with their phases, links, and what the saved searches find."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from stack.programs import HEALTHY, SICK
from stack.running import until
from stack.searches import SEARCHES, by_connection
from stack.searches import tags_of as tags
from tests.stack.asking import RATE, SECONDS

pytestmark = pytest.mark.stack


def test_jaeger_has_a_setup_span_for_every_connection(ran):
    for service in (HEALTHY, SICK):
        opened = []
        for trace in ran.traces(service):
            instances = {name: str(process["tags"]) for name, process in trace["processes"].items()}
            opened += [
                (instances[span["processID"]], tags(span)["poolscope.connection.id"])
                for span in trace["spans"]
                if span["operationName"].startswith("HTTP connection_setup")
                and "error.type" not in tags(span)
            ]
        assert len(opened) == ran.seen["connections"][service]
        # An id is unique within one process.
        assert len(set(opened)) == len(opened)


def test_setups_have_their_phases_as_children(ran):
    spans = ran.spans(SICK)
    below: Counter[str] = Counter()
    names = {span["spanID"]: span["operationName"] for span in spans}
    for span in spans:
        for reference in span["references"]:
            if names.get(reference["spanID"], "").startswith("HTTP connection_setup"):
                below[span["operationName"]] += 1
    assert {"DNS lookup", "socket connect", "TLS client handshake"} <= set(below)


def test_later_requests_link_to_the_setup_of_their_connection(ran):
    spans = ran.spans(HEALTHY)
    setups = {
        span["spanID"]: tags(span)
        for span in spans
        if span["operationName"].startswith("HTTP connection_setup")
    }
    reused = [span for span in spans if tags(span).get("poolscope.connection.reused") is True]
    assert len(reused) == ran.seen["reused"][HEALTHY]
    for span in reused:
        linked = [each["spanID"] for each in span["references"] if each["refType"] == "FOLLOWS_FROM"]
        assert [setups[each]["poolscope.connection.id"] for each in linked] == [
            tags(span)["poolscope.connection.id"]
        ]


def test_the_saved_search_finds_the_unreused(ran):
    found = ran.traces(SICK, {"poolscope.connection.reused": "false"})
    unreused = [
        span
        for trace in found
        for span in trace["spans"]
        if tags(span).get("poolscope.connection.reused") is False
    ]
    assert len(unreused) == ran.seen["connections"][SICK]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.asks)
def test_every_saved_search_finds_spans(ran, search):
    assert search.found(ran.jaeger)


def test_statistics_by_connection_show_the_sick_service(ran):
    """Few connections with many requests, against connections with one request each."""
    healthy = by_connection(ran.spans(HEALTHY))
    assert sum(healthy.values()) == ran.seen["requests"][HEALTHY]
    assert len(healthy) == ran.seen["connections"][HEALTHY]
    first = SEARCHES[0].found(ran.jaeger)
    assert len(first) == ran.seen["connections"][SICK]
    assert {tags(span)["poolscope.connection.request_number"] for span in first} == {1}


def test_every_request_of_a_client_per_request_opens_its_own_connection(ran):
    found = [
        trace
        for trace in ran.traces(SICK)
        if any(span["operationName"] == "GET /client-per-request" for span in trace["spans"])
    ]
    assert len(found) >= RATE * SECONDS / 6 * 0.9
    for trace in found:
        setups = [
            span for span in trace["spans"] if span["operationName"].startswith("HTTP connection_setup")
        ]
        assert len(setups) == 1


def instance_of(trace: dict, span: dict) -> str:
    process = trace["processes"][span["processID"]]
    return next(tag["value"] for tag in process["tags"] if tag["key"] == "service.instance.id")


def test_one_connection_of_one_instance_can_be_searched_for(ran):
    one_of_each = {
        instance_of(trace, span): tags(span)["poolscope.connection.id"]
        for trace in ran.traces(SICK)
        for span in trace["spans"]
        if "poolscope.connection.request_number" in tags(span)
    }
    assert len(one_of_each) == 2
    for instance, connection in one_of_each.items():
        asked = {"poolscope.connection.id": str(connection), "service.instance.id": instance}
        traces = ran.traces(SICK, asked)
        assert traces
        for trace in traces:
            assert {
                tag["value"]
                for process in trace["processes"].values()
                for tag in process["tags"]
                if tag["key"] == "service.instance.id"
            } == {instance}


OVER_GRPC = """
import sys
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "over-grpc"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1], insecure=True)))
provider.get_tracer("test").start_span("one").end()
provider.shutdown()
"""


def test_spans_come_through_over_grpc_as_well(ran):
    """In its own process, as gRPC keeps threads that later tests would fork with."""
    endpoint = f"127.0.0.1:{ran.stack.ports.otlp_grpc}"
    ended = subprocess.run([sys.executable, "-c", OVER_GRPC, endpoint], capture_output=True, timeout=60)
    assert ended.returncode == 0, ended.stderr.decode()
    (trace,) = until(lambda: ran.traces("over-grpc"), 30, "the span over gRPC")
    assert [span["operationName"] for span in trace["spans"]] == ["one"]
