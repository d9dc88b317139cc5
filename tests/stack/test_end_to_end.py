"""Both services have run against real components: what Prometheus, the Collector and the report know."""

from __future__ import annotations

import json
import re
import time
import urllib.parse

import pytest
import yaml
from click.testing import CliRunner

from poolscope.cli import fleet
from poolscope.cli.commands import commands
from stack.boards import BOARDS
from stack.pages import FINDINGS
from stack.programs import HEALTHY, ROOT, SICK
from stack.queries import Asking
from stack.running import answers, ask, until
from tests.stack.asking import RATE, SECONDS, is_of_the_sick

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


def test_the_sick_service_is_distinguished_from_the_healthy(ran):
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


ASKING = Asking(service=SICK, export=2.0, step=15.0, range=600.0)
QUESTIONS = [
    pytest.param(question.expression, id=f"{board.uid}-{panel.title}-{number}")
    for board in BOARDS
    for panel in board.panels
    for number, question in enumerate(panel.questions)
]


@pytest.mark.parametrize("expression", QUESTIONS)
def test_every_panel_has_data(ran, expression):
    assert ran.query(ASKING.fill_in(expression))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_variable_has_values(ran, board):
    for query in board.variables.values():
        [(series, name)] = re.findall(r"^label_values\((.*), (\w+)\)$", ASKING.fill_in(query))
        asked = urllib.parse.urlencode({"match[]": series})
        assert ask(f"{ran.prometheus}/api/v1/label/{name}/values?{asked}")["data"]


RULES = yaml.safe_load((ROOT / "stack" / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))["groups"][
    0
]["rules"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_data_to_compare(ran, rule):
    # An alert's expression without its limits is what it watches; promtool tests whether it fires.
    excepted = re.sub(r" unless \w+ offset \w+", "", rule["expr"]).split(" unless ")[0]
    watched = re.sub(r" [<>] [0-9.]+", "", excepted)
    assert watched != rule["expr"]
    # A hook is reported only after it switched off, and here none did.
    assert bool(ran.query(watched)) == (rule["alert"] != "HooksDisabled")


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
    """`increase` extrapolates to the ends of its range: it is exact only for evenly distributed events."""
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


def test_only_edge_spans_become_span_metrics(ran):
    kinds = {
        series["metric"]["span_kind"]
        for series in ran.query("sum by (span_kind) (traces_span_metrics_calls_total)")
    }
    assert kinds == {"SPAN_KIND_CLIENT", "SPAN_KIND_SERVER"}


def test_a_finding_is_in_the_log_store_with_its_line(ran):
    output = until(lambda: ran.events(f"_time:1h {FINDINGS}"), 30, "the findings' events")
    assert "PS101" in {event["poolscope.finding.code"] for event in output}
    assert {event["service.name"] for event in output} == {SICK}
    for event in output:
        assert is_of_the_sick(event["code.file.path"], int(event["code.line.number"]))


def test_a_close_is_in_the_log_store_as_a_sentence(ran):
    closed = ran.events(f'_time:1h {{service.name="{SICK}"}} event_name:="poolscope.connection.closed"')
    assert closed
    for event in closed:
        assert re.match(r"connection \d+ to [\w.]+:\d+ closed", event["_msg"])


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
    output = answers(ran.stack.ports.url("collector_metrics") + "/metrics")
    assert output is not None
    lines = [line for line in output.decode().splitlines() if not line.startswith("#")]
    failed = [
        line for line in lines if "send_failed" in line or "refused" in line or "enqueue_failed" in line
    ]
    assert all(float(line.rsplit(" ", 1)[1]) == 0 for line in failed)
    assert any(line.startswith("otelcol_exporter_sent_spans") for line in lines)
