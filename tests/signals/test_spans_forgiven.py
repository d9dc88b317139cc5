"""Something that the program gave us raises: no request notices, and when it works again, so do our signals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from opentelemetry import propagate
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from poolscope import instrumentor
from poolscope.signals import Signals
from poolscope.story import forgiving
from poolscope.story.hook import FORGIVEN_AFTER
from tests.signals.telemetry import Telemetry

BROKEN = [
    "sampler", "on_start", "on_end", "propagator", "request_hook", "response_hook", "log processor", "exporter",
]  # fmt: skip
SPANS = {"poolscope.hook.name": "signals.spans"}


class Fault:
    """Raises as long as the fault is there."""

    def __init__(self) -> None:
        self.there = True
        self.asked = 0

    def __call__(self, *_: Any, **__: Any) -> None:
        self.asked += 1
        if self.there:
            raise RuntimeError("of the program's own")


class Faulty(Sampler, SpanProcessor, TextMapPropagator):
    """A sampler, a processor of spans or records, an exporter's target and a propagator, broken in one place."""

    def __init__(self, fault: Fault, where: str) -> None:
        self.fault, self.where = fault, where

    def _may_break(self, *places: str) -> None:
        if self.where in places:
            self.fault()

    def should_sample(self, *args: Any, **options: Any) -> Any:
        self._may_break("sampler")
        return ALWAYS_ON.should_sample(*args, **options)

    def get_description(self) -> str:
        return "faulty"

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._may_break("on_start")

    def on_end(self, span: Any) -> None:
        self._may_break("on_end", "exporter")

    def on_emit(self, log_record: Any) -> None:
        self._may_break("log processor")

    def inject(self, *_: Any, **__: Any) -> None:
        self._may_break("propagator")

    def extract(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nothing is extracted")

    @property
    def fields(self) -> set[str]:
        return set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock, moved by the test, for what is forgiven with time."""

    class Clock:
        at = 1_000.0

    monkeypatch.setattr(forgiving, "now", lambda: Clock.at)
    return Clock


@pytest.fixture(autouse=True)
def propagator() -> Iterator[None]:
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


@pytest.mark.parametrize("where", BROKEN)
def test_what_raises_is_forgiven_with_time(where: str, clock: Any, server: Any) -> None:
    fault = Fault()
    faulty: Any = Faulty(fault, where)
    telemetry = Telemetry(sampler=faulty)
    telemetry.tracer_provider.add_span_processor(faulty)
    telemetry.logger_provider.add_log_record_processor(faulty)
    if where == "propagator":
        propagate.set_global_textmap(faulty)
    hooks = {where: fault} if where.endswith("_hook") else {}
    with telemetry.instrumented(events="all", **hooks):
        for _ in range(8):
            assert requests.get(server.url("/a"), timeout=5).text == "answer"
        assert telemetry.total("http.client.request.duration") == 8
        assert fault.asked, "the fault was never met"
        met = fault.asked
        fault.there = False
        clock.at += FORGIVEN_AFTER + 1
        before = len(telemetry.requests)
        assert requests.get(server.url("/b"), timeout=5).text == "answer"
        assert telemetry.total("http.client.request.duration") == 9
        assert telemetry.total("poolscope.hooks.disabled", **SPANS) == 0
    assert fault.asked > met
    assert len(telemetry.requests) == before + 1
    assert telemetry.events("poolscope.connection.closed")


def test_while_spans_are_given_up_nothing_is_tried_and_a_metric_says_so(clock: Any, server: Any) -> None:
    fault = Fault()
    telemetry = Telemetry(sampler=Faulty(fault, "sampler"))
    with telemetry.instrumented():
        for _ in range(9):
            requests.get(server.url("/a"), timeout=5)
        assert fault.asked == forgiving.GIVEN_UP_AT
        assert telemetry.total("poolscope.hooks.disabled", **SPANS) == 1
        clock.at += FORGIVEN_AFTER - 1
        requests.get(server.url("/a"), timeout=5)
        assert fault.asked == forgiving.GIVEN_UP_AT


def test_a_failure_now_and_then_is_no_reason_to_give_up(clock: Any, server: Any) -> None:
    fault = Fault()
    telemetry = Telemetry(sampler=Faulty(fault, "sampler"))
    with telemetry.instrumented():
        for _ in range(9):
            requests.get(server.url("/a"), timeout=5)
            clock.at += FORGIVEN_AFTER / 2
        assert fault.asked == 9
        assert telemetry.total("poolscope.hooks.disabled", **SPANS) == 0


def test_other_signals_that_come_and_go_do_not_make_a_failing_tracer_look_new(
    clock: Any, server: Any
) -> None:
    fault = Fault()
    telemetry, carried = Telemetry(sampler=Faulty(fault, "sampler")), Telemetry()
    also = Signals(carried.tracer_provider, carried.meter_provider, carried.logger_provider, apart=True)
    with telemetry.instrumented():
        for change in (instrumentor.carry, instrumentor.drop):
            for _ in range(forgiving.GIVEN_UP_AT):
                requests.get(server.url("/a"), timeout=5)
            assert fault.asked == forgiving.GIVEN_UP_AT
            change(also)
        requests.get(server.url("/a"), timeout=5)
        assert fault.asked == forgiving.GIVEN_UP_AT
