"""The Collector itself says whether a configuration is valid."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from stack.programs import VARIANTS, configuration

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


def test_every_variant_is_offered():
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
@pytest.mark.parametrize(
    ("overlays", "extensions"),
    [
        ((), "[health_check]"),
        (("auth", "persistent", "tls"), "[health_check, bearertokenauth, file_storage]"),
        (("persistent", "tail-sampling"), "[health_check, file_storage]"),
    ],
)
def test_overlays_go_together(component, overlays, extensions):
    """Each lists its extensions; the Collector would take only the last list."""
    sources = configuration(overlays)
    assert sources[-1] == f"yaml:service::extensions: {extensions}"
    checked = validate(component, *sources)
    assert checked.returncode == 0, checked.stderr


def test_exactly_the_used_components_are_compiled_in():
    """Every component in the builder's list is used by a configuration."""
    listed = (HOUSE / "stack" / "collector" / "builder.yaml").read_text(encoding="utf-8")
    compiled = set(re.findall(r"/(\w+?)(?:receiver|processor|connector|exporter|extension)? v0", listed))
    files = [HOUSE / "otel-collector.yaml", *(HOUSE / "stack" / "collector" / f"{v}.yaml" for v in VARIANTS)]
    named = set()
    for file in files:
        output = yaml.safe_load(file.read_text(encoding="utf-8"))
        for kind in ("receivers", "processors", "connectors", "exporters", "extensions"):
            named |= {name.split("/")[0].replace("_", "") for name in output.get(kind) or ()}
    called = {"otlp": "otlpgrpc"}  # the exporter's module has the name of the receiver's
    assert {called.get(name, name) for name in compiled} - {"otlpgrpc"} == named - {"otlp", "otlpgrpc"}


@pytest.mark.stack
def test_a_wrong_name_is_refused(component, tmp_path):
    text = (HOUSE / "otel-collector.yaml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("otlp_http/metrics", "otlphttps/metrics"), encoding="utf-8")
    checked = validate(component, wrong)
    assert checked.returncode != 0
    assert "otlphttps" in checked.stderr
