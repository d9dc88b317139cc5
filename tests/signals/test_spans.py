"""The live path with sheets filled by hand: which span gets the facts, its attributes, and its exact times."""

from __future__ import annotations

import asyncio
from time import time_ns

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from poolscope.facts import Failure, now
from poolscope.signals.owner import SUPPRESS_HTTP
from poolscope.signals.spans import RequestSpans
from tests.signals import sheets
from tests.signals.telemetry import Telemetry

REFUSED = Failure("connection_refused", "ECONNREFUSED", "Connection refused", 7)


class Request:
    def __init__(self, **headers: str) -> None:
        self.headers = headers


@pytest.fixture
def door(telemetry: Telemetry) -> RequestSpans:
    return RequestSpans(telemetry.tracer, explicit=True)


def run(door: RequestSpans, sheet=None, on=None, status=200, request=None, **slots):
    sheet = sheets.exchange(**slots) if sheet is None else sheet
    headers = door.request_started(sheet, request or Request())
    on = sheets.connection() if on is None else on
    if on.opened_by is None:
        on.opened_by = sheet.id
        door.setup_ended(on, sheet)
    door.headers_received(sheets.answered(sheet, on, status), None)
    return sheet, on, dict(headers or ())


def test_a_request_has_a_span_from_its_start_to_its_headers(door, telemetry) -> None:
    begun = now()
    sheet, on, _ = run(door, sheets.exchange(target=b"/a?sig=1", resends=2))
    assert sheet.headers_at is not None
    assert on.opened_at is not None
    (span,) = telemetry.requests
    assert (span.name, span.kind, span.parent) == ("GET", SpanKind.CLIENT, None)
    assert span.status.status_code.name == "UNSET"
    # Between the two clocks a busy machine may stop: then the span begins too early, never too late.
    offset = -int(now() * 1e9) + time_ns()
    stopped = (now() - begun) * 1e9
    assert -stopped - 1_000 < span.start_time - offset - int(sheet.started_at * 1e9) < 1_000
    assert span.end_time - span.start_time == pytest.approx(
        (sheet.headers_at - sheet.started_at) * 1e9, abs=2_000
    )
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.request.resend_count": 2,
        "http.response.status_code": 200,
        "server.address": "shop.example",
        "server.port": 80,
        "url.full": "http://shop.example/a?sig=REDACTED",
        "network.peer.address": "192.0.2.1",
        "network.peer.port": 80,
        "network.protocol.version": "1.1",
        "poolscope.connection.id": on.id,
        "poolscope.connection.reused": False,
        "poolscope.connection.request_number": 1,
    }
    assert sheet.span == span.context
    assert sheet.live.span is None  # nothing is kept alive


def test_setup_and_its_phases_are_children_with_their_own_times(door, telemetry) -> None:
    at = now()
    on = sheets.connection(
        ("https", "shop.example", None), setup_started_at=at - 0.05, opened_at=at, peer=("192.0.2.1", 443),
        tls_version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", resumed=False, alpn="h2", http_version="2",
        phases=[("dns", at - 0.05, at - 0.04), ("connect", at - 0.04, at - 0.03),
                ("tls_context", at - 0.03, at - 0.02), ("tls", at - 0.02, at)],
    )  # fmt: skip
    run(door, sheets.exchange(("https", "shop.example", None), started_at=at - 0.06), on)
    (request,) = telemetry.requests
    (setup,) = telemetry.named("HTTP connection_setup")
    assert setup.kind is SpanKind.INTERNAL
    assert setup.parent == request.context
    assert on.span == setup.context
    assert (setup.end_time - setup.start_time) / 1e9 == pytest.approx(0.05, abs=1e-6)
    assert setup.attributes["url.scheme"] == "https"
    children = [span for span in telemetry.spans if span.parent == setup.context]
    assert {span.name: round((span.end_time - span.start_time) / 1e6) for span in children} == {
        "DNS lookup": 10,
        "socket connect": 10,
        "TLS context": 10,
        "TLS client handshake": 20,
    }
    assert request.start_time <= setup.start_time <= setup.end_time <= request.end_time
    assert {key: value for key, value in setup.attributes.items() if key.startswith("tls.")} == {
        "tls.protocol.name": "tls",
        "tls.protocol.version": "1.3",
        "tls.cipher": "TLS_AES_128_GCM_SHA256",
        "tls.resumed": False,
        "tls.next_protocol": "h2",
    }


class NoSetups(Sampler):
    """Drops the spans that are not a request's, as a rule by kind does."""

    def should_sample(self, parent_context, trace_id, name, kind=None, *_, **__) -> SamplingResult:
        wanted = kind is SpanKind.CLIENT
        return SamplingResult(Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP)

    def get_description(self) -> str:
        return "NoSetups"


def test_if_the_setups_span_is_sampled_away_its_facts_are_on_the_first_request() -> None:
    telemetry = Telemetry(sampler=NoSetups())
    door = RequestSpans(telemetry.tracer, explicit=True)
    on = sheets.connection(("https", "shop.example", None), tls_version="TLSv1.3")
    run(door, on=on)
    run(door, on=on)
    first, second = (dict(span.attributes or {}) for span in telemetry.spans)
    assert first["tls.protocol.version"] == "1.3"
    assert "tls.protocol.version" not in second
    assert [span.links for span in telemetry.spans] == [(), ()]


@pytest.mark.parametrize("others", [0, 1])
def test_a_slow_phase_says_how_long_the_program_itself_was_busy(door, telemetry, others: int) -> None:
    """Of several addresses nobody knows which one the program kept waiting: only the setup says it then."""
    at = now()
    on = sheets.connection(
        setup_started_at=at - 0.5, phases=[("dns", at - 0.5, at - 0.2), ("connect", at - 0.2, at)],
        busy={"dns": 0.004, "connect": 0.18},
        tried=[(("192.0.2.9", 80), at - 0.2, at - 0.19, None)] * others + [(("192.0.2.1", 80), at - 0.19, at, None)],
    )  # fmt: skip
    run(door, sheets.exchange(started_at=at - 0.6), on)
    (setup,) = telemetry.named("HTTP connection_setup")
    assert setup.attributes["poolscope.setup.busy_time"] == pytest.approx(0.184)
    busy = {
        (span.name, span.attributes.get("network.peer.address")): span.attributes.get(
            "poolscope.setup.busy_time"
        )
        for span in telemetry.spans
        if span.parent == setup.context
    }
    connects = [("socket connect", "192.0.2.9")] * others + [("socket connect", "192.0.2.1")]
    assert busy.pop(("DNS lookup", None)) is None
    assert busy == dict.fromkeys(connects, None if others else 0.18)


def test_behind_a_proxy_the_name_looked_up_is_the_proxys(door, telemetry) -> None:
    run(door, on=sheets.connection(via="tunnel", dns_name=b"proxy.example"))
    (dns,) = telemetry.named("DNS lookup")
    assert dict(dns.attributes) == {"dns.question.name": "proxy.example"}


def test_the_handshake_with_a_proxy_has_the_proxys_name(door, telemetry) -> None:
    at = now()
    on = sheets.connection(
        ("https", "shop.example", None), via="tunnel", dns_name=b"proxy.example", tls_version="TLSv1.3",
        phases=[("connect", at, at), ("tls", at, at), ("proxy_tunnel", at, at), ("tls", at, at)],
    )  # fmt: skip
    run(door, sheets.exchange(("https", "shop.example", None)), on)
    assert [dict(span.attributes) for span in telemetry.named("TLS client handshake")] == [
        {"server.address": "proxy.example"},
        {"server.address": "shop.example", "tls.protocol.name": "tls", "tls.protocol.version": "1.3"},
    ]


@pytest.mark.parametrize(("host", "network"), [("192.0.2.7", "ipv4"), ("2001:db8::7", "ipv6")])
def test_an_address_that_refused_is_reported(door, telemetry, host, network) -> None:
    sheet = sheets.exchange(("http", host, 8080))
    door.request_started(sheet, Request())
    at = now()
    on = sheets.connection(
        ("http", host, 8080), opened_at=None, closed_at=at, failed_phase="connect", error="ConnectionRefusedError",
        opened_by=sheet.id, failure=REFUSED, phases=[("connect", at, at)], peer=None,
    )  # fmt: skip
    door.setup_ended(on, sheet)
    (connect,) = telemetry.named("socket connect")
    assert connect.attributes["network.peer.address"] == host
    assert connect.attributes["network.peer.port"] == 8080
    assert connect.attributes["network.type"] == network
    shown = f"[{host}]" if network == "ipv6" else host
    assert connect.status.description == f"connection refused [ECONNREFUSED] ({shown}:8080, in connect)"


def test_later_exchanges_link_to_the_setup(door, telemetry) -> None:
    _, on, _ = run(door)
    run(door, on=on, idle_time=0.25)
    first, second = telemetry.requests
    assert not first.links
    assert [link.context for link in second.links] == [on.span]
    assert second.attributes["poolscope.connection.reused"] is True
    assert second.attributes["poolscope.connection.request_number"] == 2
    assert second.attributes["poolscope.connection.idle_time"] == 0.25


def test_a_failed_setup_hangs_under_the_request_that_failed(door, telemetry) -> None:
    sheet = sheets.exchange()
    door.request_started(sheet, Request())
    at = now()
    on = sheets.connection(
        opened_at=None, closed_at=at, failed_phase="connect", error="ConnectionRefusedError", opened_by=sheet.id,
        failure=REFUSED,
        phases=[("dns", at - 0.02, at - 0.01), ("connect", at - 0.01, at)], peer=None,
    )  # fmt: skip
    door.setup_ended(on, sheet)
    sheet.failure, sheet.error = REFUSED, "ConnectionRefusedError"
    door.request_failed(sheet, ConnectionRefusedError("secret"))
    (request,) = telemetry.requests
    (setup,) = telemetry.named("HTTP connection_setup")
    (connect,) = telemetry.named("socket connect")
    (dns,) = telemetry.named("DNS")
    assert setup.parent == request.context
    for span in (request, setup, connect):
        assert span.status.status_code.name == "ERROR"
        assert span.status.description.startswith("connection refused [ECONNREFUSED] (shop.example:80")
        assert span.attributes["error.type"] == "connection_refused"
    assert dns.status.status_code.name == "UNSET"
    assert "secret" not in repr([span.to_json() for span in telemetry.spans])


@pytest.mark.parametrize(("status", "error"), [(399, None), (404, "404"), (500, "500")])
def test_error_statuses(door, telemetry, status, error) -> None:
    run(door, status=status)
    (span,) = telemetry.requests
    assert span.attributes.get("error.type") == error
    assert span.status.status_code.name == ("UNSET" if error is None else "ERROR")
    assert span.status.description is None


def test_the_callers_own_cancellation_is_no_error(door, telemetry) -> None:
    sheet = sheets.exchange()
    door.request_started(sheet, Request())
    door.request_failed(sheet, asyncio.CancelledError())
    (span,) = telemetry.requests
    assert span.status.status_code.name == "UNSET"
    assert "error.type" not in span.attributes


def test_unknown_methods(door, telemetry) -> None:
    run(door, method="BREW")
    (span,) = telemetry.requests
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


@pytest.mark.parametrize(
    ("waited", "queued", "recorded"),
    [(0.0, False, 0), (0.0009, True, 1), (0.2, True, 1), (0.2, False, 0)],
    ids=["not at all", "briefly", "long", "after losing a connection, for another that was free"],
)
def test_a_wait_in_the_queue_has_a_span(door, telemetry, waited, queued, recorded) -> None:
    sheet = sheets.exchange(queued=queued)
    door.request_started(sheet, Request())
    on = sheets.connection()
    door.headers_received(sheets.answered(sheet, on, pool_wait=waited), None)
    waits = telemetry.named("HTTP wait_for_connection")
    assert len(waits) == recorded
    for span in waits:
        assert span.parent == telemetry.requests[0].context
        assert (span.end_time - span.start_time) / 1e9 == pytest.approx(waited, abs=1e-6)


def test_a_wait_without_success_is_an_error(door, telemetry) -> None:
    sheet = sheets.exchange(pool_wait=0.2, queued=True)
    door.request_started(sheet, Request())
    sheet.failure = Failure("pool_timeout")
    door.request_failed(sheet, TimeoutError())
    (wait,) = telemetry.named("HTTP wait_for_connection")
    assert wait.attributes["error.type"] == "pool_timeout"
    (request,) = telemetry.requests
    assert request.attributes["poolscope.pool.wait_time"] == 0.2
    assert "poolscope.connection.id" not in request.attributes


class TestOwnership:
    def test_a_current_span_that_is_not_http_is_the_parent(self, door, telemetry) -> None:
        with telemetry.tracer.start_as_current_span("work") as outer:
            run(door)
        (span,) = telemetry.requests
        assert span.parent == outer.get_span_context()

    def test_a_genai_client_span_is_no_owner(self, door, telemetry) -> None:
        about = {"gen_ai.operation.name": "chat", "server.address": "shop.example", "server.port": 80}
        with telemetry.tracer.start_as_current_span(
            "chat m", kind=SpanKind.CLIENT, attributes=about
        ) as outer:
            run(door)
        (span,) = telemetry.named("GET")
        assert span.parent == outer.get_span_context()
        assert "poolscope.connection.id" not in outer.attributes

    @pytest.mark.parametrize(
        "about",
        [
            {"http.request.method": "GET", "server.address": "shop.example", "server.port": 80},
            {"http.request.method": "GET", "server.address": "shop.example"},
            {"http.method": "GET", "http.url": "http://shop.example/a"},
            {"http.method": "GET", "net.peer.name": "Shop.Example", "net.peer.port": 80},
            {"http.request.method": "GET", "server.address": "xn--", "url.full": "http://shop.example:80/"},
        ],
    )
    def test_an_http_client_span_for_this_server_is_enriched(self, door, telemetry, about) -> None:
        with telemetry.tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=about) as outer:
            _, on, headers = run(door)
            assert not headers
            run(door, on=on)
            run(door, on=on)
        (span,) = telemetry.requests
        assert span.context == outer.get_span_context()
        assert span.attributes["network.peer.address"] == "192.0.2.1"
        assert span.attributes["poolscope.connection.request_number"] == 3
        assert span.attributes["poolscope.exchange.count"] == 3
        assert "http.response.status_code" not in span.attributes
        (setup,) = telemetry.named("HTTP connection_setup")
        assert setup.parent == outer.get_span_context()
        assert [link.context for link in span.links] == [setup.context]

    @pytest.mark.parametrize(
        "about",
        [
            {"http.request.method": "GET", "server.address": "other.example", "server.port": 80},
            {"http.request.method": "GET", "server.address": "shop.example", "server.port": 81},
            {"http.method": "GET", "http.url": "http://[broken"},
        ],
    )
    def test_an_http_client_span_for_another_server_is_the_parent(self, door, telemetry, about) -> None:
        with telemetry.tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=about) as outer:
            run(door)
        own = next(span for span in telemetry.requests if span.context != outer.get_span_context())
        assert own.parent == outer.get_span_context()
        assert "poolscope.connection.id" not in outer.attributes

    def test_suppressed_http_instrumentation_means_another_package_owns_it(self, door, telemetry) -> None:
        about = {"http.request.method": "GET", "server.address": "other.example"}
        with telemetry.tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes=about) as outer:
            token = context.attach(context.set_value(SUPPRESS_HTTP, True))
            try:
                run(door)
            finally:
                context.detach(token)
        # A redirect to another server: the span does not describe it, but its setup happened under the span.
        assert len(telemetry.requests) == 1
        assert "poolscope.connection.id" not in outer.attributes
        (setup,) = telemetry.named("HTTP connection_setup")
        assert setup.parent == outer.get_span_context()

    def test_suppression_without_a_span_makes_no_span(self, door, telemetry) -> None:
        token = context.attach(context.set_value(SUPPRESS_HTTP, True))
        try:
            sheet, _, headers = run(door)
        finally:
            context.detach(token)
        assert not telemetry.spans
        assert not headers
        assert sheet.live.duration_recorded is False

    def test_an_unsampled_owner_is_known_by_its_header(self, door, telemetry) -> None:
        outer = Telemetry(ALWAYS_OFF).tracer.start_span("GET", kind=SpanKind.CLIENT)
        ids = outer.get_span_context()
        carried = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-00"
        with trace.use_span(outer):
            _, _, headers = run(door, request=Request(traceparent=carried))
            assert not headers
            assert not telemetry.spans
            run(door, request=Request(traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00"))
        (own,) = telemetry.requests
        assert own.parent == ids


class TestPropagation:
    def test_the_header_is_the_propagators(self, door, telemetry) -> None:
        sheet, _, headers = run(door)
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(
            carrier, trace.set_span_in_context(trace.NonRecordingSpan(sheet.span))
        )
        assert headers == carrier

    def test_unsampled_requests_carry_it_too(self) -> None:
        off = Telemetry(ALWAYS_OFF)
        sheet, on, headers = run(RequestSpans(off.tracer, explicit=True))
        assert headers["traceparent"].split("-")[2] == f"{sheet.span.span_id:016x}"
        assert int(headers["traceparent"].split("-")[3], 16) & 1 == 0
        assert not off.spans
        assert on.span is None

    def test_baggage_and_foreign_propagators_are_asked(self, door, monkeypatch) -> None:
        token = context.attach(baggage.set_baggage("shop", "1"))
        try:
            assert run(door)[2]["baggage"] == "shop=1"
        finally:
            context.detach(token)

        class Odd(TraceContextTextMapPropagator):
            def inject(self, carrier, context=None, setter=None):
                carrier["odd"] = f"{trace.get_current_span(context).get_span_context().span_id:x}"

        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", Odd())
        sheet, _, headers = run(door)
        assert headers == {"odd": f"{sheet.span.span_id:x}"}


def test_hooks_of_the_user_see_the_span_and_may_fail(telemetry, caplog) -> None:
    seen = []

    def on_request(span, request):
        span.set_attribute("tenant", request.headers["tenant"])

    def on_response(span, request, response):
        seen.append((request.headers["tenant"], response.status, response.raw))
        raise ValueError("mine")

    door = RequestSpans(telemetry.tracer, True, request_hook=on_request, response_hook=on_response)
    for _ in range(2):
        run(door, request=Request(tenant="a"))
    assert [span.attributes["tenant"] for span in telemetry.requests] == ["a", "a"]
    assert seen == [("a", 200, None)] * 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # said once


def test_a_forked_child_does_not_end_its_parents_span(door, telemetry, monkeypatch) -> None:
    from poolscope.queue import FACTS

    sheet = sheets.exchange()
    door.request_started(sheet, Request())
    monkeypatch.setattr(FACTS, "epoch", FACTS.epoch + 1)
    door.headers_received(sheets.answered(sheet, sheets.connection()), None)
    assert not telemetry.spans
    assert sheet.live.span is None


@pytest.mark.parametrize(("version", "streams"), [("2", 3), ("1.1", None)])
def test_http2_says_how_many_requests_share_the_connection(door, telemetry, version, streams) -> None:
    run(door, on=sheets.connection(http_version=version, in_flight={7, 8, 9}))
    (request,) = telemetry.requests
    assert request.attributes.get("poolscope.connection.streams") == streams
