"""Both services run against the real Collector, Jaeger and Prometheus; then all three are asked what they know."""

from __future__ import annotations

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
from stack.programs import HEALTHY, ROOT, SICK, Ports, Stack
from stack.queries import BOARDS
from stack.running import answers, ask
from stack.searches import SEARCHES, by_connection
from stack.searches import tags_of as tags
from tests.stack.asking import RATE, SECONDS, Ran


@pytest.fixture(scope="module")
def ran(program, tmp_path_factory):
    for name in ("otelcol", "jaeger", "prometheus"):
        program(name)
    with Stack(tmp_path_factory.mktemp("stack"), Ports.any(), may_build=False) as stack:
        yield Ran(stack)


def test_the_load_was_answered(ran):
    for outcome, seconds in zip(ran.outcomes, (SECONDS, SECONDS, 3.0), strict=True):
        assert outcome["failed"] == 0
        assert outcome["answered"] >= seconds * RATE * 0.9


@pytest.mark.parametrize("service", [HEALTHY, SICK])
def test_totals_are_the_downstreams_to_the_unit(ran, service):
    assert ran.totals(service) == {number: ran.seen[number].get(service, 0) for number in ran.totals(service)}


def test_totals_are_sums_over_instances(ran):
    found = ran.query(f'sum by (service_instance_id) (poolscope_requests_total{{service_name="{SICK}"}})')
    parts = [float(series["value"][1]) for series in found]
    assert len(parts) == 2
    assert min(parts) > 0


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
    assert float(series["value"][1]) == pytest.approx(ran.seen["requests"][HEALTHY], rel=0.2)


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
        opened = []
        for trace in ran.traces(service):
            instances = {name: str(process["tags"]) for name, process in trace["processes"].items()}
            opened += [
                (instances[span["processID"]], tags(span)["poolscope.connection.id"])
                for span in trace["spans"]
                if span["operationName"].startswith("HTTP connection_setup ")
                and "error.type" not in tags(span)
            ]
        assert len(opened) == ran.seen["connections"][service]
        # An id is one connection of one process.
        assert len(set(opened)) == len(opened)


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
    assert len(reused) == ran.seen["reused"][HEALTHY]
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
    assert len(unreused) == ran.seen["connections"][SICK]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.asks)
def test_every_saved_search_finds_spans(ran, search):
    assert search.found(ran.jaeger)


def test_statistics_by_connection_tell_the_sick_one(ran):
    """Few connections with many requests, against one with one request each."""
    healthy = by_connection(ran.spans(HEALTHY))
    assert sum(healthy.values()) == ran.seen["requests"][HEALTHY]
    assert len(healthy) == ran.seen["connections"][HEALTHY]
    first = SEARCHES[0].found(ran.jaeger)
    assert len(first) == ran.seen["connections"][SICK]
    assert {tags(span)["poolscope.connection.request_number"] for span in first} == {1}


def test_every_request_of_a_client_per_request_opens_its_own_connection(ran):
    found = [
        trace
        for trace in ran.traces(SICK)
        if any(span["operationName"] == "GET /client-per-request" for span in trace["spans"])
    ]
    assert len(found) >= RATE * SECONDS / 6 * 0.9
    for trace in found:
        setups = [
            span for span in trace["spans"] if span["operationName"].startswith("HTTP connection_setup ")
        ]
        assert len(setups) == 1


def test_one_connection_of_one_instance_can_be_searched_for(ran):
    found = ran.query(f'sum by (service_instance_id) (poolscope_requests_total{{service_name="{SICK}"}})')
    for instance in (series["metric"]["service_instance_id"] for series in found):
        asked = {"poolscope.connection.id": "1", "service.instance.id": instance}
        traces = ran.traces(SICK, asked)
        assert traces
        for trace in traces:
            assert {
                tag["value"]
                for process in trace["processes"].values()
                for tag in process["tags"]
                if tag["key"] == "service.instance.id"
            } == {instance}


def test_prometheus_serves_the_page_of_both_services(ran):
    page = (answers(f"{ran.prometheus}/consoles/poolscope.html") or b"").decode()
    assert page.count("<section>") == len(BOARDS[0].panels) + 1
    assert "no data" not in page
    ratios = dict(re.findall(r"<tr><td>(\w+)</td><td>([0-9.]+)%</td></tr>", page))
    assert set(ratios) == {HEALTHY, SICK}
    assert float(ratios[SICK]) < 60 < 90 < float(ratios[HEALTHY])
    assert f'href="{ran.jaeger}/api/traces?service={SICK}' in page


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
