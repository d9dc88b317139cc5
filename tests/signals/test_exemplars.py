"""Which measurements lead to their trace."""

from __future__ import annotations

from poolscope.facts import now
from tests.signals.telemetry import Telemetry
from tests.signals.test_metrics import Program, program

__all__ = ["program"]


def requests(program: Program, telemetry: Telemetry, *seconds: float) -> list[int]:
    """The span ids of requests in one series that took these times."""
    on, ids = program.connection(), []
    for took in seconds:
        context, at = telemetry.tracer.start_span("request").get_span_context(), now()
        program.exchange(on, span=context, started_at=at - took, headers_at=at)
        ids.append(context.span_id)
    return ids


def shown(telemetry: Telemetry) -> list[int | None]:
    points = telemetry.points("http.client.request.duration")
    return [exemplar.span_id for point in points for exemplar in point.exemplars]


def test_each_bucket_shows_the_first_of_each_collection(program, telemetry) -> None:
    quick, _, _, slow, _ = requests(program, telemetry, 0.0, 0.0, 0.0, 7.0, 7.1)
    assert shown(telemetry) == [quick, slow]
    again, _ = requests(program, telemetry, 0.0, 0.0)
    assert shown(telemetry) == [again]


def test_always_on_gives_every_measurement_its_trace(monkeypatch) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_on")
    telemetry = Telemetry()
    program = Program(telemetry)
    program.start()
    try:
        *_, last = requests(program, telemetry, 0.0, 0.0, 0.0)
        assert shown(telemetry) == [last]
    finally:
        program.stop()
