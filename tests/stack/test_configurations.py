"""The Collector itself says whether a configuration is one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stack.programs import VARIANTS

HOUSE = Path(__file__).resolve().parent.parent.parent


def validate(component, *files):
    words = [word for file in files for word in ("--config", str(file))]
    return subprocess.run(
        [component("otelcol"), "validate", *words], capture_output=True, text=True, timeout=60
    )


@pytest.mark.stack
def test_the_base_is_valid(component):
    checked = validate(component, HOUSE / "otel-collector.yaml")
    assert checked.returncode == 0, checked.stderr


def test_every_variant_that_is_there_is_offered():
    there = {path.stem for path in (HOUSE / "stack" / "collector").glob("*.yaml")}
    assert there == {*VARIANTS, "builder"}


@pytest.mark.stack
@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_is_valid_over_the_base(component, variant):
    checked = validate(
        component, HOUSE / "otel-collector.yaml", HOUSE / "stack" / "collector" / f"{variant}.yaml"
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.stack
def test_a_wrong_name_is_refused(component, tmp_path):
    text = (HOUSE / "otel-collector.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("otlp_http/metrics", "otlphttps/metrics"), encoding="utf-8")
    checked = validate(component, wrong)
    assert checked.returncode != 0
    assert "otlphttps" in checked.stderr
