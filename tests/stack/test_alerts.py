"""promtool runs the alert rules against series made for them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parent.parent.parent / "stack" / "prometheus"


@pytest.mark.stack
def test_the_rules_are_valid(component):
    ran = subprocess.run(
        [component("promtool"), "check", "rules", FOLDER / "alerts.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.stack
def test_each_alert_fires_when_it_should_and_not_beside_it(component):
    ran = subprocess.run(
        [component("promtool"), "test", "rules", "alerts.test.yaml"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    cases = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
    asked = [check for case in cases for check in case["alert_rule_test"]]
    fires = {check["alertname"] for check in asked if check["exp_alerts"]}
    silent = {check["alertname"] for check in asked if not check["exp_alerts"]}
    assert fires == silent == {rule["alert"] for rule in rules}
