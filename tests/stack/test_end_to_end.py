"""Both services run against the real Collector, Jaeger and Prometheus; then all three are asked what they know."""

from __future__ import annotations

import itertools
import json
import re
import time
import urllib.parse
from collections import Counter

import pytest
import yaml
from click.testing import CliRunner

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs opentelemetry-exporter-otlp")

from poolscope.cli.commands import commands
from stack.load import Load
from stack.local import HEALTHY, ROOT, SICK, Ports, Stack
from stack.queries import BOARDS
from stack.running import answers, ask, until

SECONDS = 20.0
RATE = 12.0


class Ran:
    """What is known after the services ended: the load's answers, the downstream's counts, and whom to ask."""

    def __init__(self, stack: Stack) -> None:
        ports = stack.ports
        self.stack = stack
        self.prometheus = ports.url("prometheus")
        self.outcomes = Load([ports.url("healthy"), ports.url("sick")], RATE, SECONDS).run()
        self.ended = time.time()
        stack.stop_services()
        self.counted = ask(ports.url("downstream_control"))
        # The Collector batches for a second; delivered is when Prometheus has what the downstream counted last.
        until(
            lambda: (
                self.total("poolscope_requests_total", SICK) >= self.counted["requests"][SICK]
                and self.total("poolscope_requests_total", HEALTHY) >= self.counted["requests"][HEALTHY]
            ),
            30,
            "the last metrics",
        )
        for service, outcome in zip((HEALTHY, SICK), self.outcomes.values(), strict=True):
            until(
                lambda: len(self.traces(service)) >= outcome["answered"], 30, f"the last traces of {service}"
            )

    def query(self, expression: str) -> list[dict]:
        return ask(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["data"][
            "result"
        ]

    def total(self, metric: str, service: str, labels: str = "") -> float:
        found = self.query(f'sum({metric}{{service_name="{service}"{labels}}})')
        return float(found[0]["value"][1]) if found else 0.0

    def traces(self, service: str, tags: dict[str, str] | None = None, limit: int = 1500) -> list[dict]:
        asked = {"service": service, "limit": limit, "lookback": "1h"}
        if tags:
            asked["tags"] = json.dumps(tags)
        return ask(f"{self.stack.ports.url('jaeger_query')}/api/traces?{urllib.parse.urlencode(asked)}")[
            "data"
        ]

    def spans(self, service: str) -> list[dict]:
        return list(itertools.chain.from_iterable(trace["spans"] for trace in self.traces(service)))


def tags(span: dict) -> dict[str, object]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


@pytest.fixture(scope="module")
def ran(program, tmp_path_factory):
    for name in ("otelcol", "jaeger", "prometheus"):
        program(name)
    with Stack(tmp_path_factory.mktemp("stack"), Ports.any(), may_build=False) as stack:
        yield Ran(stack)


def test_the_load_was_answered(ran):
    for outcome in ran.outcomes.values():
        assert outcome["failed"] == 0
        assert outcome["answered"] >= SECONDS * RATE * 0.9


@pytest.mark.parametrize("service", [HEALTHY, SICK])
def test_totals_are_the_downstreams_to_the_unit(ran, service):
    told = {
        "connections": ran.total("poolscope_connections_opened_total", service),
        "requests": ran.total("poolscope_requests_total", service),
        "reused": ran.total("poolscope_requests_total", service, ',poolscope_connection_reused="true"'),
    }
    assert told == {number: ran.counted[number].get(service, 0) for number in told}


def test_the_sick_one_is_told_from_the_healthy(ran):
    ratio = {
        service: ran.total("poolscope_requests_total", service, ',poolscope_connection_reused="true"')
        / ran.total("poolscope_requests_total", service)
        for service in (HEALTHY, SICK)
    }
    assert ratio[HEALTHY] > 0.95
    assert ratio[SICK] < 0.6
    assert ran.total("poolscope_findings_total", HEALTHY) == 0
    assert ran.total("poolscope_findings_total", SICK, ',poolscope_finding_code="PS101"') > 0
    assert ran.total("poolscope_connections_failed_total", SICK) > 0


def filled_in(expression: str) -> str:
    for name, value in (
        ("$__rate_interval", "1m"),
        ("$service", SICK),
        ("$instance", ".*"),
        ("$server", ".*"),
    ):
        expression = expression.replace(name, value)
    return expression


QUESTIONS = [
    pytest.param(question.expression, id=f"{board.uid}-{panel.title}-{number}")
    for board in BOARDS
    for panel in board.panels
    for number, question in enumerate(panel.questions)
]


@pytest.mark.parametrize("expression", QUESTIONS)
def test_every_panel_has_data(ran, expression):
    assert ran.query(filled_in(expression))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_variable_has_values(ran, board):
    for query in board.variables.values():
        series, name = re.fullmatch(r"label_values\((.*), (\w+)\)", filled_in(query)).groups()
        asked = urllib.parse.urlencode({"match[]": series})
        assert ask(f"{ran.prometheus}/api/v1/label/{name}/values?{asked}")["data"]


RULES = yaml.safe_load((ROOT / "stack" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))["groups"][
    0
]["rules"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_what_every_alert_compares_has_data(ran, rule):
    # Without its limits an alert's expression is what it watches; whether it fires is promtool's test.
    watched = re.sub(r" [<>] [0-9.]+", "", rule["expr"])
    assert watched != rule["expr"]
    assert ran.query(watched)


def test_rates_are_within_a_fifth_of_the_truth(ran):
    """`increase` extrapolates to the ends of its range: exact only for what came evenly."""
    since = int(time.time() - ran.ended + SECONDS + 30)
    (series,) = ran.query(f'sum(increase(poolscope_requests_total{{service_name="{HEALTHY}"}}[{since}s]))')
    assert float(series["value"][1]) == pytest.approx(ran.counted["requests"][HEALTHY], rel=0.2)


def test_exemplars_lead_to_traces_in_jaeger(ran):
    asked = urllib.parse.urlencode(
        {
            "query": f'http_client_request_duration_seconds_bucket{{service_name="{SICK}"}}',
            "start": ran.ended - 120,
            "end": time.time() + 60,
        }
    )
    found = ask(f"{ran.prometheus}/api/v1/query_exemplars?{asked}")["data"]
    trace_ids = {each["labels"]["trace_id"] for series in found for each in series["exemplars"]}
    assert trace_ids
    known = {trace["traceID"] for trace in ran.traces(SICK)}
    assert trace_ids <= known


def test_jaeger_has_a_setup_span_for_every_connection(ran):
    for service in (HEALTHY, SICK):
        setups = [
            span for span in ran.spans(service) if span["operationName"].startswith("HTTP connection_setup ")
        ]
        opened = [span for span in setups if "error.type" not in tags(span)]
        assert len(opened) == ran.counted["connections"][service]
        ids = [tags(span)["poolscope.connection.id"] for span in opened]
        assert len(set(ids)) == len(ids)


def test_setups_have_their_phases_below_them(ran):
    spans = ran.spans(SICK)
    below = Counter()
    names = {span["spanID"]: span["operationName"] for span in spans}
    for span in spans:
        for reference in span["references"]:
            if names.get(reference["spanID"], "").startswith("HTTP connection_setup localhost"):
                below[span["operationName"].rsplit(" ", 1)[0]] += 1
    assert {"DNS lookup", "socket connect", "TLS client handshake"} <= set(below)


def test_later_requests_link_to_the_setup_of_their_connection(ran):
    spans = ran.spans(HEALTHY)
    setups = {
        span["spanID"]: tags(span)
        for span in spans
        if span["operationName"].startswith("HTTP connection_setup ")
    }
    reused = [span for span in spans if tags(span).get("poolscope.connection.reused") is True]
    assert len(reused) == ran.counted["reused"][HEALTHY]
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
    assert len(unreused) == ran.counted["connections"][SICK]


def test_only_edges_become_span_metrics(ran):
    kinds = {
        series["metric"]["span_kind"]
        for series in ran.query("sum by (span_kind) (traces_span_metrics_calls_total)")
    }
    assert kinds == {"SPAN_KIND_CLIENT", "SPAN_KIND_SERVER"}


def test_events_are_kept_with_the_line_of_the_finding(ran):
    records = []
    for line in ran.stack.events.read_text(encoding="utf-8").splitlines():
        for resource in json.loads(line)["resourceLogs"]:
            for scope in resource["scopeLogs"]:
                records += scope["logRecords"]
    by_name = Counter(record.get("eventName") for record in records)
    assert by_name["poolscope.connection.closed"] > 0
    findings = [record for record in records if record.get("eventName") == "poolscope.finding"]
    lines = {
        attribute["value"]["stringValue"]
        for record in findings
        for attribute in record["attributes"]
        if attribute["key"] == "code.file.path"
    }
    assert any(line.endswith("service.py") for line in lines)


def test_the_fleets_report_puts_the_sick_one_first(ran):
    result = CliRunner().invoke(
        commands, ["report", "--prometheus", ran.prometheus, "--since", "10m", "--json"]
    )
    assert result.exit_code == 0, result.stderr
    services = json.loads(result.stdout)["services"]
    assert [service["name"] for service in services] == [SICK, HEALTHY]
    assert services[0]["setup_seconds"] > services[1]["setup_seconds"]
    assert services[0]["reuse_ratio"] < 0.6 < 0.9 < services[1]["reuse_ratio"]
    assert "PS101" in services[0]["findings"]
    assert services[1]["findings"] == {}
    shown = CliRunner().invoke(commands, ["report", "--prometheus", ran.prometheus, "--since", "10m"])
    assert shown.exit_code == 0
    assert shown.stdout.index(SICK) < shown.stdout.index(HEALTHY)


def test_the_collector_lost_nothing_and_says_so(ran):
    told = answers(ran.stack.ports.url("collector_metrics") + "/metrics")
    assert told is not None
    lines = [line for line in told.decode().splitlines() if not line.startswith("#")]
    failed = [
        line for line in lines if "send_failed" in line or "refused" in line or "enqueue_failed" in line
    ]
    assert all(float(line.rsplit(" ", 1)[1]) == 0 for line in failed)
    assert any(line.startswith("otelcol_exporter_sent_spans") for line in lines)
