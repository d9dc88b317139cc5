"""One component after the other goes away under load: the services do not notice, and what was lost is counted."""

from __future__ import annotations

import threading
import time
import urllib.parse

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs opentelemetry-exporter-otlp")

from stack.load import Load
from stack.programs import HEALTHY, SICK, Ports, Stack
from stack.running import answers, ask, until

# The load of a minute and more is in the first test's set-up, whichever that is.
pytestmark = pytest.mark.timeout(240)

RATE = 6.0
SECONDS = 70.0
JAEGER_AWAY = 20.0
OTHERS_AWAY = 5.0


class Faulty:
    """The load's outcome over all faults, and a quiet stretch before them to compare with."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        ports = stack.ports
        services = [ports.url("healthy"), ports.url("sick")]
        self.quiet = Load(services, RATE, 10.0).run()
        load = Load(services, RATE, SECONDS)
        sending = threading.Thread(target=lambda: setattr(self, "faulty", load.run()))
        sending.start()
        self.away(stack.collector, OTHERS_AWAY)
        self.away(stack.prometheus, OTHERS_AWAY)
        # Last: its connection is tried again ever more rarely, and a Collector killed before that would lose the queue.
        self.jaeger_left = time.time()
        self.away(stack.jaeger, JAEGER_AWAY)
        sending.join()
        stack.stop_services()
        self.lost_to_absence = self.lost()
        self.counted = ask(ports.url("downstream_control"))

    def away(self, component, seconds: float) -> None:
        """Kill it as a crash would, and bring it back after a while."""
        component.kill()
        time.sleep(seconds)
        self.stack.start_component(component)

    def lost(self) -> float:
        """What the Collector says it could neither send nor keep."""
        told = answers(self.stack.ports.url("collector_metrics") + "/metrics")
        assert told is not None
        numbers = [line.rsplit(" ", 1) for line in told.decode().splitlines() if not line.startswith("#")]
        return sum(
            float(value) for name, value in numbers if "send_failed" in name or "enqueue_failed" in name
        )

    def total(self, metric: str, service: str) -> float:
        asked = urllib.parse.urlencode({"query": f'sum({metric}{{service_name="{service}"}})'})
        found = ask(f"{self.stack.ports.url('prometheus')}/api/v1/query?{asked}")["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture(scope="module")
def faulty(program, tmp_path_factory):
    for name in ("otelcol", "jaeger", "prometheus"):
        program(name)
    with Stack(tmp_path_factory.mktemp("faults"), Ports.any(), may_build=False) as stack:
        yield Faulty(stack)


def test_every_request_was_answered(faulty):
    for outcome in faulty.faulty.values():
        assert outcome["failed"] == 0
        assert outcome["answered"] >= SECONDS * RATE * 0.95


def test_latency_stays_what_it_was(faulty):
    """A service that waited for an exporter would show the exporter's time-out, in seconds."""
    for service, outcome in faulty.faulty.items():
        assert outcome["p50"] < faulty.quiet[service]["p50"] * 2 + 0.01
        assert outcome["p99"] < 1.0


def test_cumulative_metrics_come_through_to_the_unit(faulty):
    """Totals need no retry: the next export holds everything, also after the Collector itself crashed."""
    for service in (HEALTHY, SICK):
        asked = faulty.counted["requests"][service]
        until(lambda: faulty.total("poolscope_requests_total", service) >= asked, 30, "the last metrics")
        assert faulty.total("poolscope_requests_total", service) == asked
        assert (
            faulty.total("poolscope_connections_opened_total", service)
            == faulty.counted["connections"][service]
        )


def test_absent_backends_cost_nothing(faulty):
    """Prometheus and Jaeger were away; the Collector's queues kept everything, and its counts say so."""
    assert faulty.lost_to_absence == 0


def test_traces_of_the_time_without_jaeger_are_there(faulty):
    asked = {
        "service": HEALTHY,
        "limit": 1500,
        "start": int((faulty.jaeger_left + 1) * 1e6),
        "end": int((faulty.jaeger_left + JAEGER_AWAY - 1) * 1e6),
    }
    address = f"{faulty.stack.ports.url('jaeger_query')}/api/traces?{urllib.parse.urlencode(asked)}"
    least = (JAEGER_AWAY - 2) * RATE * 0.95
    until(lambda: len(ask(address)["data"]) >= least, 60, f"{least:.0f} traces of the time without Jaeger")
