"""``run --fail-on``, ``view --fail-on`` and ``explain``, as a user types them."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from poolscope.findings import RULES
from poolscope.findings.pages import PLACES
from tests.cli.conftest import Program

pytestmark = pytest.mark.processes

SICK = """
import atexit, sys, threading, time
import requests

def price():
    return requests.get("{url}", timeout=10).text

atexit.register(print, "at exit")
"""
EACH = "for _ in range(5): price()\n"
FAILED = "poolscope: failed: PS101 client per request at program.py:6 in price\n"


def sick(program: Program, *lines: str) -> Program:
    return program.write("\n".join([SICK, *lines]))


def test_a_run_with_the_finding_ends_with_4_and_names_its_line(program: Program) -> None:
    done = sick(program, EACH).run("--fail-on", "PS101,PS103")
    assert (done.returncode, done.stdout) == (4, "at exit\n")
    assert done.stderr.endswith(FAILED)
    assert "PS101 client per request" in done.stderr
    assert program.summary().exit_code == 0, "the program did nothing wrong"


@pytest.mark.parametrize("options", [(), ("--fail-on", "PS103"), ("--fail-on", "any", "--ignore", "PS101")])
def test_a_run_without_it_ends_as_the_program_does(program: Program, options: tuple[str, ...]) -> None:
    done = sick(program, EACH).run(*options)
    assert (done.returncode, done.stdout) == (0, "at exit\n")
    assert "failed:" not in done.stderr


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("sys.exit()", 4),
        ("sys.exit(0)", 4),
        ("import os; os._exit(0)", 4),
        ("sys.exit(3)", 3),
        ("import os; os._exit(3)", 3),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", -signal.SIGTERM),
    ],
)
def test_only_a_success_becomes_a_failure(program: Program, ending: str, status: int) -> None:
    assert sick(program, EACH, ending).run("--fail-on", "PS101").returncode == status


def test_what_a_thread_or_an_atexit_handler_does_after_the_end_counts(program: Program) -> None:
    later = "threading.Timer(0.1, price).start()\nfor _ in range(4): atexit.register(price)\n"
    done = sick(program, later).run("--fail-on", "PS101")
    assert done.returncode == 4
    assert program.summary().requests == 5


def test_ignored_and_accepted_findings_are_counted_and_not_shown(program: Program, tmp_path: Path) -> None:
    baseline = tmp_path / "known.json"
    first = sick(program, EACH).run("--write-baseline", str(baseline), "--fail-on", "any")
    assert first.returncode == 0
    assert "PS101 client per request" in first.stderr, "a new baseline is made in the open"
    entry = {"code": "PS101", "path": "program.py", "function": "price", "kind": "requests.get"}
    assert json.loads(baseline.read_text())["accepted"] == [entry]
    sick(program, "# a line more", EACH)
    second = program.run("--baseline", str(baseline), "--fail-on", "any")
    assert second.returncode == 0
    assert "PS101" not in second.stderr
    assert second.stderr.endswith("poolscope: 1 finding accepted by the baseline\n")
    (tmp_path / "pyproject.toml").write_text('[tool.poolscope]\nignore = ["PS101:program.py::price"]\n')
    third = program.run("--fail-on", "any")
    assert third.returncode == 0
    assert third.stderr.endswith("poolscope: 1 finding ignored\n")


@pytest.mark.parametrize(
    "options",
    [("--fail-on", "PS9"), ("--ignore", "PS101:"), ("--baseline", "nowhere.json"), ("--fail-on=",)],
)
def test_what_cannot_be_read_is_an_error_before_anything_runs(
    program: Program, options: tuple[str, ...]
) -> None:
    done = sick(program, EACH).run(*options)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert options[0].partition("=")[0].lstrip("-").split("-")[0] in done.stderr


def test_a_broken_table_stops_a_gate_and_only_a_gate(program: Program, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.poolscope]\nignore = 3\n")
    gated = sick(program, EACH).run("--fail-on", "PS101")
    assert (gated.returncode, gated.stdout) == (2, "")
    plain = program.run()
    assert (plain.returncode, plain.stdout) == (0, "at exit\n")
    assert "PS101 client per request" in plain.stderr
    for done in (gated, plain):
        assert f"{tmp_path / 'pyproject.toml'} [tool.poolscope]: ignore is a list" in done.stderr


def test_a_comment_with_an_unknown_code_fails_a_gate(program: Program) -> None:
    text = SICK.replace("timeout=10).text", "timeout=10).text  # poolscope: ignore[PS9]")
    program.write(text + EACH)
    done = program.run("--fail-on", "PS103")
    assert done.returncode == 4
    assert "program.py:6: # poolscope: ignore[…]: no finding has the code 'PS9'" in done.stderr


def test_the_variable_cannot_change_how_a_program_ends(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    python, environment = installed
    sick(program, EACH)
    done = program._finish([python, str(program.path)], env=environment | {"POOLSCOPE": "--fail-on PS101"})
    assert (done.returncode, done.stdout) == (0, "at exit\n")
    assert "--fail-on in POOLSCOPE cannot change how a program ends" in done.stderr


def test_the_gate_for_a_saved_file(program: Program, tmp_path: Path) -> None:
    sick(program, EACH).run("--quiet")
    saved = str(program.saved)
    failing = program.poolscope("view", saved, "--fail-on", "PS101", "--format", "json")
    assert (failing.returncode, failing.stderr) == (4, FAILED)
    assert json.loads(failing.stdout)["findings"][0]["code"] == "PS101"
    assert program.poolscope("view", saved, "--fail-on", "PS103").returncode == 0
    assert program.poolscope("view", saved, "--fail-on", "PS101", "--format", "har").returncode == 4
    ignored = program.poolscope("view", saved, "--fail-on", "any", "--ignore", "PS101", "--json")
    assert (ignored.returncode, json.loads(ignored.stdout)["findings"]) == (0, [])
    unknown = program.poolscope("view", saved, "--fail-on", "PS9")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "--fail-on: no finding has the code 'PS9'" in unknown.stderr
    baseline = str(tmp_path / "known.json")
    assert program.poolscope("view", saved, "--write-baseline", baseline).returncode == 0
    assert program.poolscope("view", saved, "--fail-on", "any", "--baseline", baseline).returncode == 0


def test_explain_prints_the_page_of_a_finding(program: Program) -> None:
    shown = program.poolscope("explain", "ps104")
    assert program.poolscope("explain", "104").stdout == shown.stdout
    assert shown.stdout == Path(PLACES[1], "PS104.md").read_text("utf-8")
    listed = program.poolscope("explain").stdout.splitlines()
    assert listed == [f"{rule.code} {rule.title}" for rule in RULES]
    unknown = program.poolscope("explain", "PS999")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "no finding has the code 'PS999'" in unknown.stderr
