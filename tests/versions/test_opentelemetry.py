"""``opentelemetry-instrument`` with requests, httpx and poolscope, over older and newer versions of OpenTelemetry.

Each version has its own environment, made from the registry once and kept outside the checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.servers import Running, in_thread
from tests.upstream.prepare import HOME, python_with
from tests.versions.pins import OPENTELEMETRY, Pins

pytestmark = [
    pytest.mark.long(reason="builds an environment for each version of OpenTelemetry"),
    pytest.mark.timeout(600),
]
HOUSE = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, httpx, requests
with requests.Session() as session, httpx.Client() as client:
    for number in range(2):
        session.get(sys.argv[1] + f"requests/{number}")
        client.get(sys.argv[1] + f"httpx/{number}")
"""
ALONE = """
import json, sys, poolscope, requests
poolscope.instrument()
with requests.Session() as session:
    session.get(sys.argv[1]).content
    print(json.dumps({"watched": len(poolscope.snapshot().connections)}))
"""


class Output(NamedTuple):
    """The output of a run, by the console exporters and on stderr."""

    spans: list[dict[str, Any]]
    signals: str
    errors: str

    def official(self) -> list[tuple[str, str, Any]]:
        """Name, method and URL of every request's span, from the official packages' attributes."""
        return sorted(
            (span["name"], span["attributes"]["http.method"], span["attributes"]["http.url"])
            for span in self.spans
            if span["kind"] == "SpanKind.CLIENT"
        )

    def of_poolscope(self) -> list[dict[str, Any]]:
        """The requests' spans that have facts about the connection."""
        return [
            span
            for span in self.spans
            if span["kind"] == "SpanKind.CLIENT" and "poolscope.connection.id" in span["attributes"]
        ]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """poolscope as in a wheel, with its entry points and extras; for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps"]
    subprocess.run([*pip, "--target", folder, HOUSE], check=True)
    return str(folder)


TOO_OLD = ("1.27", "1.30", "1.33", "1.37")


def marked(pins: Pins) -> Any:
    return pytest.param(pins, id=pins.name, marks=[pytest.mark.regress] if pins.name in TOO_OLD else [])


@pytest.fixture(scope="module", params=map(marked, OPENTELEMETRY))
def python(request: pytest.FixtureRequest) -> Path:
    return python_with(request.param.libraries, HOME / "opentelemetry" / request.param.name)


@pytest.fixture
def works(request: pytest.FixtureRequest) -> bool:
    """Whether our signals support this version."""
    return request.node.callspec.params["python"].name not in TOO_OLD


def run(python: Path, wheel: str, code: str, url: str, *starter: str, **env: str) -> Output:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POOLSCOPE"))}
    console = {f"OTEL_{signal}_EXPORTER": "console" for signal in ("TRACES", "METRICS", "LOGS")}
    console["OTEL_PYTHON_POOLSCOPE_EVENTS"] = "all"
    done = subprocess.run(
        [*starter, python, "-c", code, url],
        env=plain | console | {"PYTHONPATH": wheel} | env,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Output([*objects(done.stdout)], done.stdout, done.stderr)


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The spans among the JSON objects that the console exporters print one after the other."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        found, place = decoder.raw_decode(text, place)
        if "span_id" in found.get("context", ()):
            yield found
        place += len(text[place:]) - len(text[place:].lstrip())


def test_all_official_spans_are_there(python: Path, wheel: str, server: Running, works: bool) -> None:
    instrument = str(python.parent / "opentelemetry-instrument")
    url = server.url("/fixed/")
    without = run(python, wheel, PROGRAM, url, instrument, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="poolscope")
    assert len(without.official()) == 4
    observed = run(python, wheel, PROGRAM, url, instrument)
    assert observed.official() == without.official()
    assert len(observed.of_poolscope()) == (4 if works else 0)
    assert ("poolscope.connections.opened" in observed.signals) == works
    assert ("poolscope.connection.closed" in observed.signals) == works, "an event"
    if works:
        assert observed.errors == without.errors
    else:
        new = set(observed.errors.splitlines()) - set(without.errors.splitlines())
        assert [line.startswith("poolscope: no OpenTelemetry signals: ") for line in new] == [True]


def test_a_program_may_instrument_itself(python: Path, wheel: str, server: Running, works: bool) -> None:
    done = run(python, wheel, ALONE, server.url("/fixed/1"), OTEL_TRACES_EXPORTER="none")
    assert json.loads(done.signals) == {"watched": 1}
    assert ("is too old" in done.errors) is not works


def test_doctor_says_what_fits(python: Path, wheel: str, works: bool) -> None:
    command = [str(python), "-m", "poolscope", "doctor", "--json"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": wheel}, capture_output=True, text=True, check=False
    )
    versions = json.loads(done.stdout)["opentelemetry"]
    assert versions["api"] == versions["sdk"]
    assert (versions["note"] is None) == works
