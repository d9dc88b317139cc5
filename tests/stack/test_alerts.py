"""promtool runs the alert rules against series made for them."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from stack.programs import ROOT
from tests.stack.alert_cases import CASES, RULES

FOLDER = ROOT / "stack" / "prometheus"


@pytest.fixture
def promtool(component):
    def run(*words):
        return subprocess.run([component("promtool"), *words], capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.stack
def test_the_rules_are_valid(promtool):
    ran = promtool("check", "rules", str(FOLDER / "alerts.yaml"))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.stack
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}: {case.name}")
def test_an_alert_fires_only_when_it_should(promtool, tmp_path, case):
    written = {
        "rule_files": [str(FOLDER / "alerts.yaml")],
        "evaluation_interval": "15s",
        "tests": [case.as_promtool()],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    ran = promtool("test", "rules", str(tmp_path / "case.yaml"))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    fires = {case.alert for case in CASES if case.fires is not None}
    silent = {case.alert for case in CASES if case.fires is None}
    assert fires == silent == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_explains_itself_and_links_to_its_runbook(rule):
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert "keep_firing_for" in rule
    page, anchor = rule["annotations"]["runbook_url"].rsplit("/", 1)[1].split("#")
    assert anchor == rule["alert"]
    written = (FOLDER / "consoles" / page).read_text(encoding="utf-8")
    assert f'id="{anchor}"' in written
    # Each of them distinguishes environments, so that a test system does not wake people for production.
    assert "deployment_environment_name" in rule["expr"]


def test_the_page_has_no_removed_alert():
    output = re.findall(
        r'<h2 id="(\w+)"', (FOLDER / "consoles" / "runbooks.html").read_text(encoding="utf-8")
    )
    assert sorted(output) == sorted(rule["alert"] for rule in RULES)
