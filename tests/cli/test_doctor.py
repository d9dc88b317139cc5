"""``poolscope doctor`` and ``demo``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import certifi
import pytest
import requests
import urllib3

from poolscope.cli import demo as showing
from poolscope.cli import doctor
from poolscope.testing import capture
from tests.cli.conftest import Program


@pytest.mark.processes
def test_everything_fits_here(program: Program) -> None:
    done = program.poolscope("doctor", "--json")
    found = {library["name"]: library for library in json.loads(done.stdout)["libraries"]}
    for name in ("httpx", "httpcore", "requests", "urllib3"):
        assert found[name]["status"] == "fits", found[name]
        assert found[name]["hooks"] > 0
    assert "requests" in program.poolscope("doctor").stdout


@pytest.mark.processes
def test_missing_libraries_are_not_an_error(program: Program) -> None:
    code = (
        "import sys\nfor name in ('requests', 'urllib3', 'httpx', 'httpx2', 'httpcore', 'httpcore2', 'anyio', 'trio'):\n"
        "    sys.modules[name] = None\n"
        "import importlib.metadata as m\n"
        "def version(name): raise m.PackageNotFoundError(name)\n"
        "m.version = version\n"
        "from poolscope.cli.main import main\nmain(['doctor'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.count("not installed") >= 8


@pytest.mark.processes
def test_a_library_without_a_hook_point_lists_the_missing_facts(program: Program) -> None:
    code = (
        "import urllib3\ndel urllib3.connectionpool.HTTPConnectionPool._put_conn\n"
        "from poolscope.cli.main import main\nmain(['doctor'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "HTTPConnectionPool._put_conn: when a connection becomes idle" in done.stdout


def test_urllib3_future_in_urllib3s_place_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install niquests` does that; tests/versions runs programs with the real package."""
    monkeypatch.setattr(urllib3, "ResponsePromise", object, raising=False)
    found = {finding.name: finding for finding in doctor.examine()}
    assert (found["urllib3"].status, found["urllib3"].note) == (
        "replaced",
        "left alone: it is urllib3-future",
    )
    assert found["requests"].note == "left alone: its urllib3 is urllib3-future"
    assert "left alone: it is urllib3-future" in doctor.text(list(found.values()))
    assert found["httpx"].status == "fits"
    with capture() as captured:
        requests.Session().close()
    assert captured.clients == []


@pytest.mark.processes
def test_the_demo_shows_the_seed_program_as_two_rows(program: Program) -> None:
    done = program.poolscope("demo", "--requests", "50", "--delay", "0", "seed", stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert "The server counted 51 connections and 100 requests." in done.stdout
    assert "100 requests · 51 connections · 51 clients" in done.stdout
    assert "PS101" in done.stdout
    assert "this does not make dns, connect, tls context and building longer" in done.stdout
    assert "PS101 client per request  seed.py:19 in with_get" in done.stdout
    assert "→ CONNECTIONS: one per request in the first row" in done.stdout
    assert done.stdout.endswith("poolscope run your_program.py\n")


@pytest.mark.processes
def test_the_demo_loads_as_many_authorities_as_a_program_does(tmp_path: Path) -> None:
    with showing.Server(0, str(tmp_path)) as server:
        bundle = Path(server.environment()["REQUESTS_CA_BUNDLE"]).read_bytes()
    own = bundle.removeprefix(certifi.contents().encode())
    assert own.count(b"BEGIN CERTIFICATE") == 1
    assert len(own) < len(bundle)


@pytest.mark.processes
def test_the_demo_knows_its_examples(program: Program) -> None:
    listed = program.poolscope("demo", "--list").stdout
    assert "seed" in listed
    refused = program.poolscope("demo", "nothing")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
