"""How the environment and a configuration file control a program under ``opentelemetry-instrument``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.receiver import Receiver
from tests.servers import Running
from tests.services.conftest import OFFICIAL

pytestmark = pytest.mark.processes

PROGRAM = """
import sys, requests
with requests.Session() as session:
    for path in ("4?health", "4?shop", "4?health", "4?shop"):
        print(session.get(sys.argv[1] + path).status_code)
"""
FILE = """
file_format: "1.0"
resource:
  attributes:
    - {{name: service.name, value: from-the-file}}
tracer_provider:
  processors:
    - batch: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/traces"}}}}}}
meter_provider:
  readers:
    - periodic: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/metrics"}}}}}}
logger_provider:
  processors:
    - batch: {{exporter: {{otlp_http: {{endpoint: "{url}/v1/logs"}}}}}}
instrumentation/development:
  python:
    poolscope: {options}
"""


def run(
    installed: str, receiver: Receiver, downstream: Running, directory: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    program = directory / "program.py"
    program.write_text(PROGRAM)
    scripts = Path(sys.executable).parent
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POOLSCOPE"))}
    environment = receiver.environment() | {
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": OFFICIAL,
        "OTEL_PYTHON_POOLSCOPE_EVENTS": "all",
    }
    return subprocess.run(
        [str(scripts / "opentelemetry-instrument"), sys.executable, str(program), downstream.url("/fixed/")],
        env=plain | environment | {"PYTHONPATH": installed} | env,
        cwd=directory, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def asked(receiver: Receiver) -> list[str]:
    return [span.attributes["url.full"].rpartition("?")[2] for span in receiver.ours(3)]


def test_it_starts_by_itself(installed: str, receiver: Receiver, downstream: Running, tmp_path: Path) -> None:
    done = run(installed, receiver, downstream, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n" * 4, "")
    assert asked(receiver) == ["health", "shop", "health", "shop"]
    assert receiver.total("poolscope.connections.opened") == downstream.log().accepts == 1
    assert receiver.total("poolscope.connections.closed") == 1
    assert len(receiver.events("poolscope.connection.closed")) == 1


def test_it_can_be_disabled_by_name(
    installed: str, receiver: Receiver, downstream: Running, tmp_path: Path
) -> None:
    done = run(
        installed, receiver, downstream, tmp_path,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="httpx, poolscope , urllib3",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "200\n" * 4)
    assert receiver.ours() == []
    assert [span.scope for span in receiver.spans] == ["opentelemetry.instrumentation.requests"] * 4
    assert receiver.points("poolscope.connections.opened") == []


def test_urls_can_be_excluded(
    installed: str, receiver: Receiver, downstream: Running, tmp_path: Path
) -> None:
    done = run(installed, receiver, downstream, tmp_path, OTEL_PYTHON_EXCLUDED_URLS="nothing,hea.th$")
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n" * 4, "")
    assert asked(receiver) == ["shop", "shop"]
    assert receiver.total("http.client.request.duration") == 2
    assert receiver.total("poolscope.connections.opened") == downstream.log().accepts == 1


def test_an_invalid_pattern_is_reported_at_the_start_and_the_program_runs(
    installed: str, receiver: Receiver, downstream: Running, tmp_path: Path
) -> None:
    # Whichever instrumentation is loaded first would refuse the general variable.
    done = run(installed, receiver, downstream, tmp_path, OTEL_PYTHON_POOLSCOPE_EXCLUDED_URLS="(")
    assert (done.returncode, done.stdout) == (0, "200\n" * 4)
    assert done.stderr == (
        "poolscope: OTEL_PYTHON_POOLSCOPE_EXCLUDED_URLS: '(' is not a regular expression:"
        " missing ), unterminated subpattern at position 0; the default is used\n"
    )
    assert len(asked(receiver)) == 4


def configured(directory: Path, receiver: Receiver, options: str) -> dict[str, str]:
    file = directory / "otel.yaml"
    file.write_text(FILE.format(url=receiver.endpoint("http/protobuf"), options=options))
    return {"OTEL_CONFIG_FILE": str(file)}


def test_a_configuration_file(
    installed: str, receiver: Receiver, downstream: Running, tmp_path: Path
) -> None:
    env = configured(tmp_path, receiver, '{excluded_urls: "health"}')
    done = run(installed, receiver, downstream, tmp_path, **env)
    assert (done.returncode, done.stdout) == (0, "200\n" * 4)
    assert asked(receiver) == ["shop", "shop"]
    assert {span.resource["service.name"] for span in receiver.spans} == {"from-the-file"}
    assert receiver.total("poolscope.connections.opened") == 1
    assert receiver.total("http.client.request.duration") == 2
    assert len(receiver.events("poolscope.connection.closed")) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('{excluded: "health"}', "excluded is not a setting, and ignored"),
        (
            "{excluded_urls: [health]}",
            "excluded_urls is a comma-separated string, not list; the default is used",
        ),
    ],
)
def test_a_wrong_field_of_a_file_is_one_line_and_the_others_count(
    installed: str, receiver: Receiver, downstream: Running, tmp_path: Path, options: str, said: str
) -> None:
    env = configured(tmp_path, receiver, options.replace("}", ", events: off}"))
    done = run(installed, receiver, downstream, tmp_path, **env)
    assert (done.returncode, done.stdout) == (0, "200\n" * 4)
    lines = done.stderr.splitlines()
    assert [line for line in lines if "poolscope" in line] == [f"poolscope: {said}"]
    assert "Traceback" not in done.stderr
    assert receiver.total("poolscope.connections.closed") == 1
    assert receiver.events("poolscope.connection.closed") == []
