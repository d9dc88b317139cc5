"""The variants of the Collector's configuration at work, each on the healthy service."""

from __future__ import annotations

import re
import urllib.parse

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs opentelemetry-exporter-otlp")

from poolscope.signals import names
from stack.load import Load
from stack.programs import HEALTHY, Ports, Stack
from stack.queries import metric
from stack.running import answers, ask, until


@pytest.fixture
def served(program, tmp_path, monkeypatch):
    """A function that runs the healthy service against the Collector with one overlay."""
    for name in ("otelcol", "jaeger", "prometheus"):
        program(name)
    monkeypatch.setenv("DECISION_WAIT", "2s")
    stacks = []

    def run(overlay: str) -> Stack:
        stack = Stack(tmp_path, Ports.any(), may_build=False, overlays=(overlay,))
        stacks.append(stack)
        for component in (stack.jaeger, stack.collector):
            stack.start_component(component)
        for service in (stack.downstream, stack.healthy):
            stack.start_service(service)
        Load([stack.ports.url("healthy")], 10.0, 4.0).run()
        stack.healthy.stop(30)
        return stack

    yield run
    for stack in stacks:
        stack.stop()


def test_tail_sampling_keeps_the_traces_that_links_point_into(served):
    stack = served("tail-sampling")
    counted = ask(stack.ports.url("downstream_control"))
    asked = urllib.parse.urlencode({"service": HEALTHY, "limit": 1500, "lookback": "1h"})
    address = f"{stack.ports.url('jaeger_query')}/api/traces?{asked}"

    def setups():
        traces = ask(address)["data"]
        found = [
            sum(span["operationName"].startswith("HTTP connection_setup ") for span in trace["spans"])
            for trace in traces
        ]
        return found if sum(found) >= counted["connections"][HEALTHY] else None

    found = until(setups, 30, "the sampled traces")
    assert sum(found) == counted["connections"][HEALTHY]
    # Nothing failed, so nothing without a setup was worth keeping; and most traces have none.
    assert all(found)
    assert len(found) < counted["requests"][HEALTHY] / 4


def test_scraped_metrics_have_the_same_names(served):
    stack = served("scraped")
    counted = ask(stack.ports.url("downstream_control"))
    total = metric(names.REQUESTS_DONE)

    def scraped():
        text = (answers(stack.ports.url("scraped") + "/metrics") or b"").decode()
        lines = re.findall(rf'^{total}\{{.*service_name="{HEALTHY}".*\}} ([0-9.e+]+)', text, re.MULTILINE)
        return text if sum(map(float, lines)) >= counted["requests"][HEALTHY] else None

    text = until(scraped, 30, "the last metrics")
    values = re.findall(rf"^{metric(names.OPENED)}\{{.*\}} ([0-9.e+]+)", text, re.MULTILINE)
    assert sum(map(float, values)) == counted["connections"][HEALTHY]
    told = set(re.findall(r"^([a-z_]+)\{", text, re.MULTILINE))
    for name in (
        names.OPEN_CONNECTIONS,
        names.OPENED,
        names.CLIENTS_CREATED,
        names.FACTS_DROPPED,
        names.REUSE_IDLE_TIME,
    ):
        assert metric(name) in told
    for name in (names.REQUEST_DURATION, names.SETUP_DURATION):
        assert {metric(name, "bucket"), metric(name, "sum"), metric(name, "count")} <= told
