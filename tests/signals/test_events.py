"""Closes and findings as log records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolscope import records
from poolscope.facts import now
from poolscope.queue import FACTS
from poolscope.signals.limit import BURST, Limit
from tests.signals.test_metrics import Program


@pytest.fixture
def program(telemetry):
    running = Program(telemetry, events="all")
    running.start()
    yield running
    running.stop()


def finding(count=3, line=7):
    return records.Finding(
        pid=1, code="PS101", title="client per request", origin="http://shop.example", sdk_call_site=None,
        call_site=records.CallSite("shop.py", line, "buy"), count=count, cost=1.5, saving=0.5, fix="share it",
        sentence="shop.py builds a client for every request",
    )  # fmt: skip


class Findings:
    """Returns the given findings, as `poolscope.findings` would."""

    def __init__(self, *found: records.Finding) -> None:
        self.now_found = list(found)
        self.failed: dict[str, str] = {}

    def consume(self, record) -> None:
        self.record = record

    def needs(self, pid, client, origin) -> bool:
        return False

    def found(self):
        return self.now_found


def client(program):
    from poolscope.facts import BEGUN, ENDED, Client

    sheet = Client("requests.get", FACTS.epoch, now())
    FACTS.put(BEGUN, sheet)
    sheet.closed_at, sheet.close_kind = now(), "close"
    FACTS.put(ENDED, sheet)


def test_a_close_is_reported_with_its_reason_and_its_trace(program, telemetry) -> None:
    span = telemetry.tracer.start_span("setup").get_span_context()
    on = program.connection(span=span)
    program.exchange(on)
    program.close(on, "gc")
    telemetry.points("poolscope.requests")  # any collection drains
    (event,) = telemetry.events("poolscope.connection.closed")
    assert (event.trace_id, event.span_id) == (span.trace_id, span.span_id)
    # The part that log stores show in a list; the rest is a click away.
    assert event.body == f"connection {on.id} to shop.example:80 closed by gc (gc) after 1 request"
    about = dict(event.attributes)
    assert about.pop("poolscope.connection.age") >= 0
    assert about == {
        "server.address": "shop.example",
        "server.port": 80,
        "poolscope.connection.id": on.id,
        "poolscope.connection.requests": 1,
        "poolscope.connection.via": "direct",
        "poolscope.connection.close_reason": "gc",
        "poolscope.connection.closed_by": "gc",
        "network.peer.address": "192.0.2.1",
        "network.peer.port": 80,
        "network.type": "ipv4",
        "network.protocol.version": "1.1",
    }


def test_events_are_limited_and_the_rest_is_counted(program, telemetry) -> None:
    at = now()
    for _ in range(int(BURST) + 5):
        on = program.connection(opened_at=at)
        on.close_trigger, on.closed_at = "client", at
        FACTS.put("ended", on)
    telemetry.points("poolscope.requests")
    assert len(telemetry.events("poolscope.connection.closed")) == BURST
    later = program.connection()
    later.close_trigger, later.closed_at = "client", at + 1
    FACTS.put("ended", later)
    telemetry.points("poolscope.requests")
    assert telemetry.events("poolscope.connection.closed")[-1].attributes["poolscope.event.withheld"] == 5
    assert telemetry.total("poolscope.connections.closed") == BURST + 6


def test_the_limit_refills_with_time() -> None:
    limit = Limit(rate=2.0, burst=2.0)
    assert [limit.allows(at) for at in (0.0, 0.0, 0.0, 0.5, 0.5, 10.0, 10.0, 10.0)] == [
        True, True, False, True, False, True, True, False,
    ]  # fmt: skip
    assert limit.withheld == 3


def test_a_finding_is_counted_once_and_sent_again_when_it_has_doubled(telemetry) -> None:
    findings = Findings()
    program = Program(telemetry, findings=findings)
    program.start()
    try:
        for count in (3, 4, 6, 7):
            findings.now_found = [finding(count)]
            client(program)
            assert telemetry.total("poolscope.findings", poolscope__finding__code="PS101") == 1
        findings.now_found.append(finding(line=8))
        client(program)
        assert telemetry.total("poolscope.findings") == 2
    finally:
        program.stop()
    events = telemetry.events("poolscope.finding")
    assert [event.attributes["poolscope.finding.count"] for event in events] == [3, 6, 3]
    first = events[0]
    assert first.body == "shop.py builds a client for every request"
    assert first.severity_text == "WARN"
    assert dict(first.attributes) == {
        "poolscope.finding.code": "PS101",
        "poolscope.finding.count": 3,
        "poolscope.finding.cost": 1.5,
        "poolscope.finding.saving": 0.5,
        "poolscope.finding.fix": "share it",
        "server.address": "shop.example",
        "server.port": 80,
        "code.function.name": "buy",
        "code.file.path": "shop.py",
        "code.line.number": 7,
    }


def test_a_small_cost_is_reported_as_information(telemetry) -> None:
    program = Program(telemetry, findings=Findings(replace(finding(), severity="info")))
    program.start()
    client(program)
    program.stop()
    (event,) = telemetry.events("poolscope.finding")
    assert event.severity_text == "INFO"


def test_a_rule_that_was_switched_off_is_reported(telemetry) -> None:
    findings = Findings()
    findings.failed["PS101"] = "ZeroDivisionError"
    program = Program(telemetry, findings=findings)
    program.start()
    client(program)
    program.stop()
    assert telemetry.total("poolscope.hooks.disabled") == 1


def test_a_finding_is_in_a_trace_that_shows_it(telemetry, server) -> None:
    import requests

    def ask() -> None:
        requests.get(server.url("/a"), timeout=5)

    with telemetry.instrumented():
        for _ in range(20):
            ask()
    (event, *_) = telemetry.events("poolscope.finding")
    shown = [
        span for span in telemetry.named("HTTP connection_setup") if span.context.span_id == event.span_id
    ]
    assert [span.context.trace_id for span in shown] == [event.trace_id]
    assert event.attributes["code.line.number"] == shown[0].attributes["code.line.number"]
    assert event.attributes["code.file.path"] == shown[0].attributes["code.file.path"] == __file__


def test_code_in_no_file_has_no_path(telemetry, server) -> None:
    code = "for _ in range(20): requests.get(url, timeout=5)"
    import requests

    with telemetry.instrumented():
        exec(code, {"requests": requests, "url": server.url("/a")})
    (event, *_) = telemetry.events("poolscope.finding")
    assert event.attributes["code.line.number"] == 1
    assert "code.file.path" not in event.attributes
    for span in telemetry.named("HTTP connection_setup"):
        assert "code.file.path" not in span.attributes
