"""urllib3-future replaces urllib3, as after `pip install niquests`: programs run as before, and one line says so.

The environment is made from the registry once and kept outside the checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Running, in_thread
from tests.upstream.prepare import HOME, python_with

pytestmark = [
    pytest.mark.long(reason="builds an environment with niquests"),
    pytest.mark.timeout(600),
]
SOURCE = Path(__file__).resolve().parents[2] / "src"
LIBRARIES = ("niquests==3.21.2", "requests>=2.31", "httpx>=0.25,<1", "click>=8.1", "rich>=13.7")
PROGRAM = """
import asyncio, sys, httpx, niquests, requests, urllib3

def say(ask, url):
    try:
        print(ask(url))
    except Exception as error:
        print(type(error).__module__, type(error).__name__)

async def alone(url):
    async with niquests.AsyncSession() as session, urllib3.AsyncPoolManager() as pools:
        print((await session.get(url)).text, await (await pools.request("GET", url)).data)

good, bad = sys.argv[1:]
for url in (good, good, bad):
    with requests.Session() as session, niquests.Session() as other, urllib3.PoolManager() as pools:
        say(lambda url: [session.get(url).text for _ in range(2)], url)
        say(lambda url: [other.get(url).text for _ in range(2)], url)
        say(lambda url: [pools.request("GET", url, retries=False).data for _ in range(2)], url)
        say(lambda url: pools.request("GET", url, retries=False, preload_content=False).read(), url)
    say(lambda url: requests.get(url, stream=True).raw.read(), url)
asyncio.run(alone(good))
with httpx.Client() as client:
    say(lambda url: client.get(url).text, good)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def python() -> Path:
    return python_with(LIBRARIES, HOME / "versions" / "urllib3-future")


def finish(python: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("POOLSCOPE")}
    return subprocess.run(
        [python, *words],
        env=plain | {"PYTHONPATH": str(SOURCE)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_program_runs_as_before(python: Path, server: Running, tmp_path: Path) -> None:
    program, saved = tmp_path / "program.py", tmp_path / "saved.jsonl"
    program.write_text(PROGRAM)
    urls = server.url("/fixed/1"), "http://127.0.0.1:1/"
    bare = finish(python, program, *urls)
    run = finish(python, "-m", "poolscope", "run", "--save", saved, program, *urls)
    assert (bare.returncode, bare.stderr) == (0, "")
    assert (run.returncode, run.stdout) == (0, bare.stdout)
    assert "not observe: niquests, urllib3-future (in urllib3's place)" in " ".join(run.stderr.split())
    assert "Hooks that failed" not in run.stderr
    kept = [json.loads(line) for line in saved.read_text().splitlines()]
    assert {record["kind"] for record in kept if record["type"] == "client"} == {"httpx.Client"}
    assert len({record["id"] for record in kept if record["type"] == "exchange"}) == 1


def test_an_empty_report_says_why_it_is_empty(python: Path, server: Running, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys, requests\nrequests.get(sys.argv[1])")
    run = finish(python, "-m", "poolscope", "run", program, server.url("/fixed/1"))
    assert run.returncode == 0
    assert "not observed: urllib3-future (in urllib3's place)" in run.stderr


def test_doctor_leaves_it_alone(python: Path) -> None:
    done = finish(python, "-m", "poolscope", "doctor", "--json")
    assert done.returncode == 0, done.stderr
    found = {library["name"]: library for library in json.loads(done.stdout)["libraries"]}
    assert found["urllib3"]["version"].startswith("2.25.")
    assert (found["urllib3"]["status"], found["requests"]["status"]) == ("replaced", "replaced")
    assert found["httpx"]["status"] == "fits"
