"""One component after the other fails under load: the services do not notice, and losses are counted."""

from __future__ import annotations

import threading
import time

import pytest

from stack.load import Load
from stack.ports import Ports
from stack.programs import COMPONENTS, HEALTHY, SICK, Stack
from stack.running import answers, until
from tests.stack.asking import Asking

# The load of more than a minute is in the set-up of whichever test runs first.
pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

RATE = 6.0
CRASHES_SECONDS = 20.0
ABSENCE_SECONDS = 32.0
JAEGER_AWAY = 20.0
OTHERS_AWAY = 5.0
HANDED_OVER_AT_ONCE = 5.0
"""Seconds of spans in a batch of OpenTelemetry's processor: what a Collector may hold when it dies."""


class Stops:
    """How long this machine stopped at most, which delays every request and is nobody's fault."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch)

    def __enter__(self) -> Stops:
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watching.join()

    def _watch(self) -> None:
        began = time.monotonic()
        while not self._over.wait(0.05):
            now = time.monotonic()
            self.longest, began = max(self.longest, now - began - 0.05), now


class Faulty(Asking):
    """A quiet period to compare with, one in which the Collector and Prometheus crash, and one without Jaeger."""

    stopped: float

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        services = [stack.ports.url("healthy"), stack.ports.url("sick")]
        self.quiet = Load(services, RATE, 8.0).run()
        self.crashes = Load(services, RATE, CRASHES_SECONDS)
        self.during(self.crashes, (stack.collector, OTHERS_AWAY), (stack.prometheus, OTHERS_AWAY))
        crashes_ended = time.time()

        self.absence = Load(services, RATE, ABSENCE_SECONDS)
        answered = [self.quiet[url]["answered"] + self.crashes.outcomes[url].answered for url in services]
        sending = threading.Thread(target=self.absence.run)
        sending.start()
        for service in (HEALTHY, SICK):
            # A program sends its spans in order: once a later one is in Jaeger, no earlier one is on its way.
            until(
                lambda: self.traces(service, start=int(crashes_ended * 1e6)),
                20,
                f"{service}'s next",
            )
        # Answered but not in Jaeger: lost when the Collector crashed.
        self.lost = {
            service: count - len(self.traces(service, end=int(crashes_ended * 1e6)))
            for service, count in zip((HEALTHY, SICK), answered, strict=True)
        }
        self.jaeger_left = time.time()
        self.away(stack.jaeger, JAEGER_AWAY)
        sending.join()
        stack.stop_services()
        self.refused_by_backends = self.refused()
        self.seen = self.counted()

    def during(self, load: Load, *faults) -> None:
        sending = threading.Thread(target=load.run)
        sending.start()
        for component, seconds in faults:
            self.away(component, seconds)
        sending.join()

    def away(self, component, seconds: float) -> None:
        """Kill it, as a crash would, and restart it after a while."""
        component.kill()
        time.sleep(seconds)
        self.stack.start_component(component)

    def refused(self) -> float:
        """How much the Collector says it could neither send nor keep."""
        output = answers(self.stack.ports.url("collector_metrics") + "/metrics")
        assert output is not None
        numbers = [line.rsplit(" ", 1) for line in output.decode().splitlines() if not line.startswith("#")]
        return sum(
            float(value) for name, value in numbers if "send_failed" in name or "enqueue_failed" in name
        )


@pytest.fixture(scope="module")
def faulty(component, tmp_path_factory):
    for name in COMPONENTS:
        component(name)
    with Stack(tmp_path_factory.mktemp("faults"), Ports.any(), may_build=False) as stack:
        with Stops() as stops:
            ran = Faulty(stack)
        ran.stopped = stops.longest
        yield ran


def test_every_request_was_answered(faulty):
    for load in (faulty.crashes, faulty.absence):
        for outcome in load.outcomes.values():
            assert outcome.failed == 0
            assert outcome.answered >= load.seconds * RATE * 0.95


def test_latency_is_unchanged(faulty):
    """A service that waited for an exporter would show the exporter's time-out, in seconds."""
    for load in (faulty.crashes, faulty.absence):
        for service, outcome in load.outcomes.items():
            output = outcome.as_dict()
            assert output["p50"] < faulty.quiet[service]["p50"] * 2 + 0.01
            assert output["p99"] < 1.0 + faulty.stopped


def test_cumulative_metrics_arrive_to_the_unit(faulty):
    """Totals need no retry: the next export contains everything, even after a crash of the Collector."""
    for service in (HEALTHY, SICK):
        asked = faulty.seen["requests"][service]
        until(lambda: faulty.total("poolscope_requests_total", service) >= asked, 30, "the last metrics")
        assert faulty.totals(service) == {
            number: faulty.seen[number].get(service, 0) for number in ("connections", "requests", "reused")
        }


def test_traces_that_died_with_the_collector_are_counted(faulty):
    """They are the difference between the answers and Jaeger's traces: at most one batch of the service."""
    for lost in faulty.lost.values():
        assert 0 <= lost <= RATE * (HANDED_OVER_AT_ONCE + 1)


def test_absent_backends_cost_nothing(faulty):
    """Prometheus and Jaeger were down; the Collector's queues kept everything, as its counts show."""
    assert faulty.refused_by_backends == 0


def test_traces_of_the_time_without_jaeger_are_there(faulty):
    least = (JAEGER_AWAY - 2) * RATE * 0.95
    within = {
        "start": int((faulty.jaeger_left + 1) * 1e6),
        "end": int((faulty.jaeger_left + JAEGER_AWAY - 1) * 1e6),
    }
    for service in (HEALTHY, SICK):
        until(
            lambda: len(faulty.traces(service, **within)) >= least,
            60,
            f"{least:.0f} traces of {service} of the time without Jaeger",
        )
