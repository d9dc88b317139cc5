"""Both services have run against real components: what Prometheus, the Collector and the report know. Traces: test_traces.py."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from collections import Counter

import pytest
import yaml
from click.testing import CliRunner

from poolscope.cli import fleet
from poolscope.cli.commands import commands
from stack.programs import HEALTHY, ROOT, SICK
from stack.queries import BOARDS
from stack.running import answers, ask, until
from tests.stack.asking import RATE, SECONDS

pytestmark = pytest.mark.stack


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


def test_prometheus_evaluates_every_rule(ran):
    def rules():
        (group,) = ask(f"{ran.prometheus}/api/v1/rules")["data"]["groups"]
        found = {rule["name"]: rule["health"] for rule in group["rules"]}
        return found if "unknown" not in found.values() else None

    # Each is evaluated every 15 s.
    assert until(rules, 30, "an evaluation of every rule") == {rule["alert"]: "ok" for rule in RULES}


@pytest.mark.parametrize("question", fleet.QUESTIONS)
def test_every_question_of_the_report_has_data(ran, question):
    assert ran.query(fleet.QUESTIONS[question].format(since="10m"))


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
