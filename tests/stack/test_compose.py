"""compose.yaml cannot be run here; its names are compared with what exists."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from stack.downstream import Control
from stack.running import free_port

HOUSE = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((HOUSE / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_everything_of_the_stack_is_in_it():
    assert set(OURS) == {"components", "downstream", "checkout", "billing", "load"}
    assert set(SERVICES) - set(OURS) == {"collector", "jaeger", "prometheus", "logs", "grafana"}


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


def test_every_name_that_is_called_or_awaited_is_a_service():
    called = re.findall(r"https?://([a-z]+):\d+", str(SERVICES))
    called += [SERVICES["collector"]["environment"]["TRACES_ENDPOINT"].split(":")[0]]
    called += [name for service in SERVICES.values() for name in service.get("depends_on", ())]
    assert called
    assert set(called) <= set(SERVICES)


def conditions(name: str) -> dict[str, str]:
    """The services that a service waits for, and the condition."""
    output = SERVICES[name].get("depends_on", {})
    if isinstance(output, list):
        return dict.fromkeys(output, "service_started")
    return {other: each["condition"] for other, each in output.items()}


@pytest.mark.parametrize("name", SERVICES)
def test_a_wait_for_health_is_for_a_service_that_reports_it(name):
    for other, condition in conditions(name).items():
        assert (condition == "service_healthy") == ("healthcheck" in SERVICES[other])
        if condition == "service_completed_successfully":
            assert "--within" in SERVICES[other]["command"]


def test_the_load_waits_for_its_services_and_they_for_the_components():
    assert conditions("load") == {"checkout": "service_healthy", "billing": "service_healthy"}
    for name in ("checkout", "billing"):
        assert conditions(name) == {
            "downstream": "service_healthy",
            "components": "service_completed_successfully",
        }
    asked = re.findall(r"http://(\w+):", str(SERVICES["components"]["command"]))
    assert set(asked) == {"collector", "jaeger", "prometheus", "logs"}


@pytest.mark.processes
@pytest.mark.parametrize("name", [name for name in SERVICES if "healthcheck" in SERVICES[name]])
def test_a_health_check_asks_a_port_that_its_program_listens_on(name):
    """It is really run: unhealthy while nothing listens, healthy when something does."""
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD"
    port = urlsplit(command[-1]).port
    module, *words = map(str, SERVICES[name]["command"])
    options = vars(importlib.import_module(module).options_of(words))
    assert port in options.values()
    free = free_port()
    asked = [sys.executable, *command[1:-1], command[-1].replace(str(port), str(free))]
    assert subprocess.run(asked, cwd=HOUSE, capture_output=True, timeout=30).returncode == 1
    with ThreadingHTTPServer(("127.0.0.1", free), Control) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            assert subprocess.run(asked, cwd=HOUSE, timeout=30).returncode == 0
        finally:
            server.shutdown()
            thread.join()


def test_every_mounted_file_exists():
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert files
    for name in files:
        assert (HOUSE / name).exists()
    assert {mount.split(":")[0] for mount in mounts if not mount.startswith("./")} == set(COMPOSE["volumes"])


@pytest.mark.parametrize(
    ("name", "file"), [("collector", "otel-collector.yaml"), ("jaeger", "stack/jaeger/config.yaml")]
)
def test_the_configuration_reads_every_setting(name, file):
    known = set(re.findall(r"\$\{env:(\w+)", (HOUSE / file).read_text(encoding="utf-8")))
    assert set(SERVICES[name]["environment"]) <= known


def test_the_image_copies_only_existing_files():
    copied = re.findall(r"^COPY (.+) \S+$", (HOUSE / "stack" / "Dockerfile").read_text(), re.MULTILINE)
    named = [name for line in copied for name in line.split()]
    assert "src" in named
    shown = (HOUSE / ".dockerignore").read_text().splitlines()
    for name in named:
        assert (HOUSE / name).exists()
        assert f"!{name}" in shown
