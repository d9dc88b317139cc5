"""compose.yaml cannot be run here; what it names is held to what is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import yaml

HOUSE = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((HOUSE / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_everything_of_the_stack_is_in_it():
    assert set(OURS) == {"downstream", "checkout", "billing", "load"}
    assert set(SERVICES) - set(OURS) == {"collector", "jaeger", "prometheus", "grafana"}


def test_images_of_others_are_pinned_by_version():
    for name in set(SERVICES) - set(OURS):
        assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_ports_are_for_this_machine_only():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@pytest.mark.parametrize("name", OURS)
def test_our_programs_take_their_command_line(name):
    module, *arguments = map(str, SERVICES[name]["command"])
    understood = str(vars(importlib.import_module(module).options_of(arguments)))
    assert all(word in understood for word in arguments if not word.startswith("--"))


def test_what_is_called_or_awaited_is_a_service():
    called = re.findall(r"https?://([a-z]+):\d+", str(SERVICES))
    called += [SERVICES["collector"]["environment"]["TRACES_ENDPOINT"].split(":")[0]]
    called += [name for service in SERVICES.values() for name in service.get("depends_on", ())]
    assert called
    assert set(called) <= set(SERVICES)


def test_what_is_mounted_is_there():
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert files
    for name in files:
        assert (HOUSE / name).exists()
    assert {mount.split(":")[0] for mount in mounts if not mount.startswith("./")} == set(COMPOSE["volumes"])


@pytest.mark.parametrize(
    ("name", "file"), [("collector", "otel-collector.yaml"), ("jaeger", "stack/jaeger/config.yaml")]
)
def test_settings_are_ones_that_the_configuration_reads(name, file):
    known = set(re.findall(r"\$\{env:(\w+)", (HOUSE / file).read_text(encoding="utf-8")))
    assert set(SERVICES[name]["environment"]) <= known


def test_the_image_copies_what_is_there():
    copied = re.findall(r"^COPY (.+) \S+$", (HOUSE / "stack" / "Dockerfile").read_text(), re.MULTILINE)
    named = [name for line in copied for name in line.split()]
    assert "src" in named
    shown = (HOUSE / ".dockerignore").read_text().splitlines()
    for name in named:
        assert (HOUSE / name).exists()
        assert f"!{name}" in shown
