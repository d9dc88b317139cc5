"""The tests' questions to the running stack, and how they wait until everything has been delivered."""

from __future__ import annotations

import inspect
import itertools
import json
import time
import urllib.parse

from stack import service as program
from stack.load import Load
from stack.programs import HEALTHY, SICK, Stack
from stack.running import answers, ask, until

SECONDS = 20.0
RATE = 12.0


def is_of_the_sick(file: str, line: int) -> bool:
    """Whether this is a line of one of the sick service's habits."""
    lines, first = inspect.getsourcelines(program.sick)
    return file == program.__file__ and first <= line < first + len(lines)


class Asking:
    """Prometheus, Jaeger and the downstream of one stack, for the tests to ask."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.prometheus = stack.ports.url("prometheus")
        self.jaeger = stack.ports.url("jaeger_query")
        self.logs = stack.ports.url("logs")

    def counted(self) -> dict[str, dict[str, int]]:
        """Requests, connections and reuses by service, as the downstream saw them."""
        return ask(self.stack.ports.url("downstream_control"))

    def query(self, expression: str) -> list[dict]:
        asked = urllib.parse.urlencode({"query": expression})
        return ask(f"{self.prometheus}/api/v1/query?{asked}")["data"]["result"]

    def events(self, query: str) -> list[dict]:
        """VictoriaLogs's answer, one event each."""
        asked = urllib.parse.urlencode({"query": query})
        output = answers(f"{self.logs}/select/logsql/query?{asked}") or b""
        return [json.loads(line) for line in output.splitlines()]

    def total(self, metric: str, service: str, labels: str = "") -> float:
        """A cumulative value summed over the service's instances."""
        found = self.query(f'sum({metric}{{service_name="{service}"{labels}}})')
        return float(found[0]["value"][1]) if found else 0.0

    def totals(self, service: str) -> dict[str, float]:
        """The numbers that the downstream counts as well."""
        return {
            "connections": self.total("poolscope_connections_opened_total", service),
            "requests": self.total("poolscope_requests_total", service),
            "reused": self.total("poolscope_requests_total", service, ',poolscope_connection_reused="true"'),
        }

    def traces(self, service: str, tags: dict[str, str] | None = None, **words: int) -> list[dict]:
        asked = {"service": service, "limit": 1500, "lookback": "1h", **words}
        if tags:
            asked["tags"] = json.dumps(tags)
        return ask(f"{self.jaeger}/api/traces?{urllib.parse.urlencode(asked)}")["data"]

    def spans(self, service: str) -> list[dict]:
        return list(itertools.chain.from_iterable(trace["spans"] for trace in self.traces(service)))

    def delivered(self, requests: dict[str, int], traces: dict[str, int]) -> None:
        """Wait until Prometheus and Jaeger have as much of every service; the Collector batches for a second."""
        for service in (HEALTHY, SICK):
            until(
                lambda: self.total("poolscope_requests_total", service) >= requests[service],
                30,
                f"the last metrics of {service}",
            )
            until(
                lambda: len(self.traces(service)) >= traces[service],
                60,
                f"the last traces of {service}",
            )


class Ran(Asking):
    """What is known after the services ended: the load's answers, the downstream's counts, and the stack to ask."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        healthy, sick = stack.ports.url("healthy"), stack.ports.url("sick")
        self.outcomes = list(Load([healthy, sick], RATE, SECONDS).run().values())
        self.ended = time.time()
        # A new version is rolled out: the same service is two instances, and totals are sums over both.
        stack.sick.stop(30)
        stack.start_service(stack.sick)
        self.outcomes += Load([sick], RATE, 3.0).run().values()
        stack.stop_services()
        self.seen = self.counted()
        healthy_traces, *sick_traces = [int(outcome["answered"]) for outcome in self.outcomes]
        self.delivered(self.seen["requests"], {HEALTHY: healthy_traces, SICK: sum(sick_traces)})
