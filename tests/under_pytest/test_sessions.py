"""``pytest --poolscope-fail-on=PS101`` in a project that builds a client for each request."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.under_pytest.conftest import ASYNC_PLUGINS, Outcome, Project

pytestmark = pytest.mark.processes

SICK = """
from shop import total


def test_of_five():
    assert total(range(5))


def test_of_seven():
    assert total(range(7))


def test_of_none():
    assert not total([])
"""
SINGLE = """
import pytest
from shop import total


@pytest.mark.parametrize("number", range(4))
def test_one(number):
    assert total([number])
"""
FINE = """
import requests
from shop import URL


def test_of_one_session():
    with requests.Session() as session:
        for _ in range(5):
            session.get(URL)
"""
LINE = "PS101 client per request  shop.py:9 in Shop.price"
LANE = r"#\d+ +[━█]+.* setup \S+s · 200 "
"""A connection's row; one cell may be all that it has, if a request of another took long."""


def fails_by_its_section(outcome: Outcome) -> None:
    assert outcome.status == 1, outcome
    assert "failed" not in outcome.counts, "the tests themselves pass"
    assert LINE in outcome.section
    assert re.search(LANE, outcome.section)
    assert "fix     Create one requests.Session()" in outcome.section
    assert "failed: PS101 client per request at shop.py:9 in Shop.price" in outcome.section
    assert max(map(len, outcome.section.splitlines())) <= 110


def test_the_session_fails_with_the_line_the_lanes_the_fix_and_the_tests(project: Project) -> None:
    outcome = project.write("test_shop.py", SICK).pytest("--poolscope-fail-on=PS101,PS103")
    fails_by_its_section(outcome)
    assert outcome.counts == {"passed": 3}
    assert re.search(r"[57] calls of requests\.get\(\)", outcome.section), "of the test where it cost most"
    assert "test_shop.py::test_of_five, test_shop.py::test_of_seven\n" in outcome.section
    assert "test_of_none" not in outcome.section


def test_with_xdist_the_controller_reports_and_sets_the_status(project: Project) -> None:
    project.write("test_shop.py", SICK).write("test_fine.py", FINE)
    outcome = project.pytest("--poolscope-fail-on=PS101", "-n", "2", plugins=("xdist",))
    fails_by_its_section(outcome)
    assert outcome.counts == {"passed": 4}
    assert outcome.section.count(LINE) == 1
    assert {"test_shop.py::test_of_five", "test_shop.py::test_of_seven"} <= set(
        outcome.section.replace(",", " ").split()
    )


@pytest.mark.parametrize("options", [("--poolscope",), ("--poolscope-fail-on=PS103,PS104",)])
def test_a_session_without_such_a_finding_passes(project: Project, options: tuple[str, ...]) -> None:
    outcome = project.write("test_shop.py", SICK).pytest(*options)
    assert outcome.status == 0, outcome
    assert LINE in outcome.section


def test_tests_that_reuse_their_connections_have_no_findings(project: Project) -> None:
    outcome = project.write("test_fine.py", FINE).pytest("--poolscope-fail-on=any")
    assert outcome.status == 0, outcome
    assert "no findings" in outcome.section


def test_findings_of_several_tests_together_fail_only_on_request(project: Project) -> None:
    project.write("test_one.py", SINGLE)
    apart = project.pytest("--poolscope-fail-on=PS101")
    assert apart.status == 0, apart
    assert "only by several tests together" in apart.section
    fails_by_its_section(project.pytest("--poolscope-fail-on=PS101", "--poolscope-across-tests"))


def test_a_client_of_an_earlier_test_is_known_by_its_line(project: Project) -> None:
    project.write(
        "test_shared.py",
        """
import pytest, requests
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from shop import URL

@pytest.fixture(scope="session")
def shared():
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=1))
        yield session

def test_first(shared):
    shared.get(URL)

def test_overflow(shared):
    all_have_answers = Barrier(6)
    def get(_):
        answer = shared.get(URL, stream=True)
        all_have_answers.wait()
        answer.content
    with ThreadPoolExecutor(6) as threads:
        for _ in range(3):
            list(threads.map(get, range(6)))
""",
    )
    outcome = project.pytest("--poolscope-fail-on=PS104")
    assert outcome.status == 1, outcome
    assert "PS104 pool overflow  test_shared.py:9 in shared" in outcome.section
    assert "test_shared.py::test_overflow" in outcome.section


ASYNC = """
import pytest
from shop import total_async


@pytest.mark.asyncio
async def test_asyncio():
    assert await total_async(range(4))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio(anyio_backend):
    assert await total_async(range(4))


@pytest.mark.trio
async def test_trio():
    assert await total_async(range(4))


@pytest.mark.trio
@pytest.mark.poolscope_budget(max_connections=1)
async def test_trio_budget():
    assert await total_async(range(4))


@pytest.mark.asyncio
@pytest.mark.poolscope_budget(max_connections=1)
async def test_asyncio_budget():
    assert await total_async(range(4))
"""


def test_asyncio_anyio_and_trio(project: Project) -> None:
    project.write("test_async.py", ASYNC)
    project.write("pytest.ini", "[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    outcome = project.pytest("--poolscope-fail-on=PS101", plugins=ASYNC_PLUGINS)
    assert outcome.status == 1, outcome
    assert outcome.counts == {"passed": 4, "failed": 2}
    assert "PS101 client per request  shop.py:14 in Shop.price_async" in outcome.section
    assert "test_async.py::test_asyncio, test_async.py::test_anyio[asyncio]" in outcome.section.replace(
        "test_async.py::test_anyio[trio], ", ""
    )
    assert "and 3 more" in outcome.section
    for name in ("test_trio_budget", "test_asyncio_budget"):
        assert f"in {name}\n4 connections opened, at most 1 allowed: shop.py:15" in outcome.output


def test_ignores_and_a_baseline(project: Project, tmp_path: Path) -> None:
    project.write("test_shop.py", SICK)
    assert project.pytest("--poolscope-fail-on=any", "--poolscope-ignore=PS101:shop.py").status == 0
    assert project.pytest("--poolscope-write-baseline=known.json").status == 0
    assert json.loads((tmp_path / "known.json").read_text())["accepted"] == [
        {"code": "PS101", "path": "shop.py", "function": "Shop.price", "kind": "requests.get"}
    ]
    accepted = project.pytest("--poolscope-fail-on=any", "--poolscope-baseline=known.json")
    assert accepted.status == 0
    assert "1 finding accepted by the baseline" in accepted.section
    assert "no findings" in accepted.section


@pytest.mark.parametrize(
    ("more", "options"),
    [("", ["--collect-only"]), ("\n\ndef test_z():\n    raise KeyboardInterrupt\n", []),
     ("\n\ndef test_z():\n    assert False\n", ["-x"]), ("", ["-k", "nothing_of_that_name"])],
    ids=["listed", "interrupted", "stopped", "none chosen"],
)  # fmt: skip
def test_a_part_of_the_tests_does_not_replace_a_baseline(
    project: Project, tmp_path: Path, more: str, options: list[str]
) -> None:
    kept = '{"version": 1, "accepted": []}'
    project.write("test_shop.py", SICK + more).write("known.json", kept)
    outcome = project.pytest("--poolscope-write-baseline=known.json", *options)
    assert outcome.status != 0
    assert "no baseline is written to 'known.json': the tests did not all run" in outcome.output
    assert (tmp_path / "known.json").read_text() == kept


@pytest.mark.parametrize(
    "option",
    [
        "--poolscope-fail-on=",
        "--poolscope-baseline=",
        "--poolscope-write-baseline=",
        "--poolscope-baseline= ",
    ],
)
def test_an_empty_option_does_not_switch_the_gate_off(project: Project, option: str) -> None:
    outcome = project.write("test_shop.py", SICK).pytest(option)
    assert outcome.status == 4
    assert f"poolscope: {option.partition('=')[0]}: " in outcome.errors


def test_comments_that_are_no_longer_needed(project: Project, tmp_path: Path) -> None:
    shop = (tmp_path / "shop.py").read_text()
    project.write("shop.py", shop.replace("timeout=10).text", "timeout=10).text  # poolscope: ignore[PS101]"))
    project.write("test_shop.py", SICK)
    assert project.pytest("--poolscope-fail-on=any").status == 0
    project.write("shop.py", shop.replace("timeout=10).text", "timeout=10).text  # poolscope: ignore[PS103]"))
    unneeded = project.pytest("--poolscope")
    assert unneeded.status == 0
    assert "shop.py:9: # poolscope: ignore[PS103] is no longer needed" in unneeded.section


def test_reports_for_the_review(project: Project, tmp_path: Path) -> None:
    project.write("test_shop.py", SICK)
    outcome = project.pytest("--poolscope-report=github", "--poolscope-report=sarif:found.sarif")
    assert outcome.status == 0, outcome
    (command,) = [line for line in outcome.output.splitlines() if line.startswith("::")]
    assert re.search(
        r"file=shop\.py,line=9,title=PS101 client per request::[57] calls of requests\.get", command
    )
    assert re.search(LANE, command)
    (result,) = json.loads((tmp_path / "found.sarif").read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 9}


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--poolscope-fail-on=PS9", "--poolscope-fail-on: no finding has the code 'PS9'"),
        ("--poolscope-report=pdf", "--poolscope-report: there is no report 'pdf'"),
    ],
)
def test_an_invalid_option_is_one_line(project: Project, option: str, says: str) -> None:
    outcome = project.write("test_shop.py", SICK).pytest(option)
    assert outcome.status == 4
    assert says in outcome.errors
    assert "Traceback" not in outcome.errors + outcome.output


@pytest.mark.parametrize("name", ["sarif", "gitlab", "markdown"])
def test_a_report_that_cannot_be_written_is_one_line_and_a_status(project: Project, name: str) -> None:
    outcome = project.write("test_fine.py", FINE).pytest(f"--poolscope-report={name}:nowhere/findings")
    assert outcome.status == 4, outcome
    assert outcome.counts == {"passed": 1}
    said = [line for line in outcome.section.splitlines() if "nowhere/findings" in line]
    assert said == [f"--poolscope-report={name}: can't write 'nowhere/findings': No such file or directory"]
    assert "Traceback" not in outcome.output + outcome.errors


def test_a_failed_test_keeps_its_status_where_a_report_cannot_be_written(project: Project) -> None:
    outcome = project.write("test_bad.py", "def test_bad():\n    assert 0\n").pytest(
        "--poolscope-report=sarif:nowhere/findings"
    )
    assert outcome.status == 1, outcome
    assert "can't write" in outcome.section


KILLED = """
import os, signal
from shop import total


def test_that_is_killed():
    total(range(5))
    {end}
"""
LEAVES = """
import os


def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        os._exit(0)
"""


def on_workers(project: Project, number: int, *options: str) -> Outcome:
    return project.pytest(*options, "-n", str(number), "--max-worker-restart=0", plugins=("xdist",))


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_a_killed_worker_saw_is_missing_and_the_controller_says_so(project: Project, end: str) -> None:
    project.write("test_killed.py", KILLED.format(end=end))
    outcome = on_workers(project, 2, "--poolscope")
    assert outcome.status != 0, outcome
    assert "no findings in what was seen\n" in outcome.section
    assert re.search(r"not seen: what the worker gw\d saw, because it ended before it", outcome.section)


def test_a_gate_does_not_pass_for_workers_that_leave_without_a_word(project: Project) -> None:
    project.write("conftest.py", LEAVES).write("test_fine.py", FINE)
    watched = on_workers(project, 1, "--poolscope")
    assert watched.status == 0, watched
    assert "not seen: what the worker gw0 saw, because it ended before it could report it" in watched.section
    gate = on_workers(project, 2, "--poolscope-fail-on=PS101")
    assert gate.status == 4, gate
    assert gate.counts == {"passed": 1}
    assert "--poolscope-fail-on cannot pass without what 2 workers saw" in gate.section


def test_a_killed_worker_leaves_the_baseline_alone(project: Project) -> None:
    project.write("baseline.json", "{}").write("conftest.py", LEAVES).write("test_fine.py", FINE)
    outcome = on_workers(project, 1, "--poolscope-write-baseline=baseline.json")
    assert outcome.status == 4, outcome
    assert (project.root / "baseline.json").read_text() == "{}"
