"""Sums, histograms and gauges of sheets filled by hand, read through the real SDK."""

from __future__ import annotations

import pytest
from opentelemetry import trace

from poolscope.facts import BEGUN, ENDED, OPENED, Client, Failure, HookFailure, now
from poolscope.ledger import Ledger
from poolscope.queue import FACTS
from poolscope.signals import Signals
from poolscope.signals.lingering import LINGER
from poolscope.story.live import LIVE
from tests.signals import sheets
from tests.signals.telemetry import Telemetry

HERE = {"server.address": "shop.example", "server.port": 80}


class Program:
    """What a door connects, without any hook."""

    def __init__(self, telemetry: Telemetry, **options) -> None:
        self.signals = Signals(**telemetry.providers, **options)
        self.ledger = Ledger(self.signals.take)

    def start(self) -> None:
        FACTS.add_consumer(self.ledger.consume)
        self.signals.start()

    def stop(self) -> None:
        self.signals.stop()
        FACTS.remove_consumer(self.ledger.consume)

    def exchange(self, on, status=200, **slots):
        sheet = sheets.exchange(**slots)
        LIVE.begins(sheet)
        on.in_flight.add(sheet.id)
        at = slots.get("headers_at", now())
        sheets.answered(sheet, on, status, idle_time=slots.get("idle_time"), headers_at=at)
        sheet.finished_at, sheet.body_complete = now(), True
        on.in_flight.discard(sheet.id)
        FACTS.put(ENDED, sheet)
        return sheet

    def connection(self, origin=sheets.ORIGIN, **slots):
        sheet = sheets.connection(origin, **slots)
        LIVE.connections[sheet.id] = sheet
        FACTS.put(BEGUN, sheet)
        FACTS.put(OPENED, sheet)
        return sheet

    def close(self, on, trigger="client"):
        on.close_trigger, on.closed_at, on.body_complete = trigger, now(), True
        LIVE.connections.pop(on.id, None)
        FACTS.put(ENDED, on)


@pytest.fixture
def program(telemetry: Telemetry):
    running = Program(telemetry)
    running.start()
    yield running
    running.stop()


def gauge(telemetry, metric, **having):
    return [
        point.value for point in telemetry.points(metric) if having.items() <= dict(point.attributes).items()
    ]


def test_connections_are_counted_from_open_to_close(program, telemetry) -> None:
    on = program.connection()
    assert telemetry.total("poolscope.connections.opened") == 1
    state = "http.connection.state"
    assert gauge(telemetry, "http.client.open_connections", **{state: "idle"}) == [1]
    assert gauge(telemetry, "http.client.open_connections", **{state: "active"}) == [0]
    on.in_flight.add(1)
    assert gauge(telemetry, "http.client.open_connections", **{state: "active"}) == [1]
    on.in_flight.clear()
    program.exchange(on)
    program.exchange(on, idle_time=0.5)
    program.close(on)
    assert (
        telemetry.total("poolscope.connections.closed", poolscope__connection__close_reason="client_close")
        == 1
    )
    assert telemetry.total("poolscope.connections.closed") == 1
    assert telemetry.total("http.client.connection.duration") == 1
    (served,) = telemetry.points("poolscope.connection.requests_served")
    assert (served.sum, dict(served.attributes)) == (2, HERE)
    assert telemetry.total("poolscope.requests", poolscope__connection__reused=True) == 1
    assert telemetry.total("poolscope.requests", poolscope__connection__reused=False) == 1
    assert telemetry.total("poolscope.reuse.idle_time") == 0.5


def test_a_series_is_reported_as_zero_before_it_vanishes(program, telemetry) -> None:
    on = program.connection()
    assert len(telemetry.points("http.client.open_connections")) == 2
    program.close(on)
    for _ in range(LINGER):
        assert gauge(telemetry, "http.client.open_connections") == [0, 0]
    assert gauge(telemetry, "http.client.open_connections") == []


def test_counters_are_there_as_zero_once_a_server_is_known(program, telemetry) -> None:
    LIVE.begins(sheets.exchange())
    for metric in ("opened", "failed", "closed"):
        points = telemetry.points(f"poolscope.connections.{metric}")
        assert points
        assert {point.value for point in points} == {0}
    assert [point.value for point in telemetry.points("poolscope.requests")] == [0, 0]


def test_setups_are_reported_by_phase(program, telemetry) -> None:
    at = now()
    program.connection(
        setup_started_at=at - 0.3,
        opened_at=at,
        phases=[("dns", at - 0.3, at - 0.1), ("connect", at - 0.1, at)],
    )
    sums = {
        p.attributes["poolscope.setup.phase"]: p.value
        for p in telemetry.points("poolscope.connection.setup.time")
    }
    assert sums == {"dns": pytest.approx(0.2), "connect": pytest.approx(0.1)}
    (total,) = telemetry.points("poolscope.connection.setup.duration")
    assert (total.attributes["poolscope.setup.phase"], total.sum) == ("total", pytest.approx(0.3))
    (dns,) = telemetry.points("dns.lookup.duration")
    assert dict(dns.attributes) == {"dns.question.name": "shop.example"}
    assert dns.sum == pytest.approx(0.2)


def test_a_failed_setup_is_no_connection(program, telemetry) -> None:
    at = now()
    broken = sheets.connection(
        opened_at=None,
        closed_at=at,
        failed_phase="dns",
        error="gaierror",
        phases=[("dns", at - 0.1, at)],
        failure=Failure("dns_error", "EAI_AGAIN"),
    )
    FACTS.put(BEGUN, broken)
    FACTS.put(ENDED, broken)
    assert telemetry.total("poolscope.connections.failed", poolscope__setup__phase="dns") == 1
    assert telemetry.total("poolscope.connections.opened") == 0
    assert telemetry.total("poolscope.connections.closed") == 0
    assert telemetry.points("http.client.connection.duration") == []
    (dns,) = telemetry.points("dns.lookup.duration")
    assert dns.attributes["error.type"] == "try_again"
    assert telemetry.total("poolscope.connection.setup.duration", error__type="dns_error") == 1


def test_the_duration_is_that_of_the_span(program, telemetry) -> None:
    on = program.connection()
    sheet = program.exchange(on, status=503)
    (point,) = telemetry.points("http.client.request.duration")
    assert point.sum == pytest.approx(sheet.headers_at - sheet.started_at)
    assert dict(point.attributes) == {
        **HERE,
        "http.request.method": "GET",
        "http.response.status_code": 503,
        "error.type": "503",
        "network.protocol.version": "1.1",
    }
    assert point.explicit_bounds == (
        0.005,
        0.01,
        0.025,
        0.05,
        0.075,
        0.1,
        0.25,
        0.5,
        0.75,
        1,
        2.5,
        5,
        7.5,
        10,
    )


@pytest.mark.parametrize(
    ("error", "expected"), [("httpcore.ReadError", Failure("reset")), ("trio.Cancelled", None)]
)
def test_a_failure_without_an_answer(program, telemetry, error, expected) -> None:
    sheet = sheets.exchange()
    LIVE.begins(sheet)
    sheet.error, sheet.failure, sheet.finished_at = error, expected, now()
    FACTS.put(ENDED, sheet)
    (point,) = telemetry.points("http.client.request.duration")
    assert point.attributes.get("error.type") == (expected and expected.type)
    assert "http.response.status_code" not in point.attributes
    assert telemetry.total("poolscope.requests") == 0  # it had no connection, so it is neither reused nor not


def test_no_request_in_progress_is_zero_and_not_a_missing_series(program, telemetry) -> None:
    """A dashboard that shows nothing, instead of 0, looks broken."""
    sheet = sheets.exchange()
    LIVE.begins(sheet)
    FACTS.put(ENDED, sheet)
    LIVE.exchanges.pop(sheet.id)
    for _ in range(10):
        assert gauge(telemetry, "http.client.active_requests") == [0]


def test_waiting_and_active_requests(program, telemetry) -> None:
    begun = now() - 5
    waiter = sheets.exchange(started_at=begun)
    connecting = sheets.exchange()
    LIVE.begins(waiter)
    LIVE.begins(connecting)
    setup = sheets.connection(opened_at=None, opened_by=connecting.id)
    LIVE.connections[setup.id] = setup
    FACTS.put(BEGUN, setup)
    assert gauge(telemetry, "poolscope.pool.pending_requests") == [1]
    (oldest,) = gauge(telemetry, "poolscope.pool.oldest_wait")
    assert 5 <= oldest <= now() - begun
    assert gauge(telemetry, "http.client.active_requests") == [2]
    waiter.pool_wait, waiter.queued = 5.0, True
    waiter.finished_at, waiter.error = now(), "httpcore.PoolTimeout"
    FACTS.put(ENDED, waiter)
    assert gauge(telemetry, "poolscope.pool.pending_requests") == [0]
    assert gauge(telemetry, "poolscope.pool.oldest_wait") == [0]
    (queued,) = telemetry.points("poolscope.pool.wait_time")
    assert queued.sum == 5.0


def test_clients(program, telemetry) -> None:
    built, there = Client("requests.Session", FACTS.epoch, now()), Client("requests.Session", FACTS.epoch)
    FACTS.put(BEGUN, built)
    FACTS.put(BEGUN, there)
    assert gauge(telemetry, "poolscope.clients.created") == [1]
    assert gauge(telemetry, "poolscope.clients.alive") == [2]
    built.closed_at, built.close_kind = now(), "gc"
    FACTS.put(ENDED, built)
    assert gauge(telemetry, "poolscope.clients.alive") == [1]
    assert telemetry.total("poolscope.clients.closed", poolscope__client__close_kind="gc") == 1


def test_the_cost_of_building_clients(program, telemetry) -> None:
    for took in (0.02, 0.03):
        built = Client("httpx.get", FACTS.epoch, now())
        built.construction_time, built.ca_time = took, 0.75 * took
        FACTS.put(BEGUN, built)
    instruments = {
        point.attributes["poolscope.setup.phase"]: (
            point.attributes["poolscope.client.kind"],
            point.count,
            point.sum,
        )
        for point in telemetry.points("poolscope.client.construction.duration")
    }
    assert instruments == {
        "total": ("httpx.get", 2, pytest.approx(0.05)),
        "tls_context": ("httpx.get", 2, pytest.approx(0.0375)),
    }


def test_a_hook_that_switched_itself_off(program, telemetry) -> None:
    FACTS.put(BEGUN, HookFailure("urllib3.connect", "ValueError", disabled=False))
    assert gauge(telemetry, "poolscope.hooks.disabled") == []
    FACTS.put(BEGUN, HookFailure("urllib3.connect", "ValueError", disabled=True))
    assert gauge(telemetry, "poolscope.hooks.disabled", **{"poolscope.hook.name": "urllib3.connect"}) == [1]


def test_exemplars_belong_to_the_exchange_not_to_the_draining_thread(program, telemetry) -> None:
    span = telemetry.tracer.start_span("theirs")
    on = program.connection(span=span.get_span_context())
    program.exchange(on, span=span.get_span_context())
    other = program.exchange(on)
    assert other.span is None
    with telemetry.tracer.start_as_current_span("drainer"):
        points = telemetry.points("http.client.request.duration")
        program.signals.metrics.publish()
    exemplars = [exemplar for point in points for exemplar in point.exemplars]
    assert {exemplar.span_id for exemplar in exemplars} == {span.get_span_context().span_id}
    (setup, *_) = telemetry.points("poolscope.connection.setup.duration")
    assert {exemplar.trace_id for exemplar in setup.exemplars} <= {span.get_span_context().trace_id}


def test_several_readers_get_the_same_totals() -> None:
    telemetry = Telemetry(readers=2)
    program = Program(telemetry)
    program.start()
    try:
        on = program.connection()
        for _ in range(3):
            program.exchange(on)
        for _ in range(2):
            for reader in range(2):
                assert [p.value for p in telemetry.points("poolscope.requests", reader)] == [2, 1]
                assert [p.count for p in telemetry.points("http.client.request.duration", reader)] == [3]
    finally:
        program.stop()


def test_servers_beyond_the_limit_share_other(program, telemetry) -> None:
    assert program.signals.totals.limit == 1_000
    program.signals.totals.limit = ORIGINS = 10
    for number in range(ORIGINS + 5):
        program.connection(("http", f"h{number}.example", None))
    points = telemetry.points("poolscope.connections.opened")
    assert len(points) == ORIGINS + 1
    assert [p.value for p in points if p.attributes["server.address"] == "other"] == [5]


def test_switching_off_keeps_sums_and_forgets_what_is_live(telemetry) -> None:
    program = Program(telemetry)
    program.start()
    on = program.connection()
    LIVE.begins(sheets.exchange())
    program.exchange(on)
    program.stop()
    assert telemetry.total("poolscope.connections.opened") == 1
    assert telemetry.total("http.client.request.duration") == 1
    assert gauge(telemetry, "http.client.open_connections") in ([], [0, 0])
    again = Program(telemetry)
    again.start()
    again.connection()
    assert [p.value for p in telemetry.points("poolscope.connections.opened")] == [2]
    again.stop()


def test_a_forked_child_starts_from_zero(program, telemetry) -> None:
    inherited = program.connection()
    program.exchange(inherited)
    assert telemetry.total("poolscope.connections.opened") == 1
    try:
        FACTS.epoch += 1
        program.signals._after_fork()
        program.ledger.reset()
        program.exchange(inherited)
        program.close(inherited)
        program.connection()
        assert telemetry.total("poolscope.connections.opened") == 1
        assert telemetry.total("poolscope.connections.closed") == 0
        assert telemetry.total("poolscope.requests") == 1
    finally:
        FACTS.epoch -= 1


def test_an_unsampled_exchange_gives_no_exemplar(program, telemetry) -> None:
    unsampled = trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(0))
    program.exchange(program.connection(), span=unsampled)
    with telemetry.tracer.start_as_current_span("drainer"):
        (point,) = telemetry.points("http.client.request.duration")
    assert not point.exemplars


def test_how_long_connections_are_in_use(telemetry, server) -> None:
    """From having the connection to having read the answer, without the pool wait and the setup."""
    import httpx

    with telemetry.instrumented(), httpx.Client(trust_env=False) as client:
        begun = now()
        client.get(server.url("/a"))
        with client.stream("GET", server.url("/b")) as response:
            held = now()
            while now() - held < 0.05:
                pass
            response.read()
        took = now() - begun
        setup = telemetry.points("poolscope.connection.setup.duration")[0].sum
        assert 0.05 <= telemetry.total("poolscope.pool.connections.use_time") <= took - setup


def test_how_full_a_pool_is(telemetry, server) -> None:
    import httpx

    limits = httpx.Limits(max_connections=7, max_keepalive_connections=3)
    kind = {"poolscope.client.kind": "httpx.Client"}
    with telemetry.instrumented(), httpx.Client(trust_env=False, limits=limits) as client:
        client.get(server.url("/a"))
        with client.stream("GET", server.url("/b")) as response:
            assert gauge(telemetry, "poolscope.pool.connections.max", **kind) == [7]
            assert gauge(telemetry, "poolscope.pool.connections.idle.max", **kind) == [3]
            assert gauge(telemetry, "poolscope.pool.connections.count", **kind) == [1, 0]
            response.read()
        assert gauge(telemetry, "poolscope.pool.connections.count", **kind) == [0, 1]
