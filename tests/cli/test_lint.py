"""``poolscope lint``, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Program

pytestmark = pytest.mark.processes

SICK = """
import requests

def total(items):
    for item in items:
        requests.get(
            f"https://api.example.com/{item}"
        )

(total)
"""
HINT = "program.py:6: PS101 Each round of this loop calls requests.get(), which builds a client and connects for one request.\n"
FAILED = "poolscope: failed: PS101 client per request at program.py:6 in total\n"


def test_a_hint_names_the_line_the_fix_and_what_proves_it(program: Program) -> None:
    done = program.write(SICK).poolscope("lint", ".")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(HINT + "    Fix: Create one requests.Session() where it outlives the calls")
    assert "1 hint in 1 file. A run proves it: poolscope run --fail-on PS101 SCRIPT" in done.stdout


def test_nothing_to_say(program: Program) -> None:
    done = program.write("import requests\n").poolscope("lint", "program.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 hints in 1 file.\n", "")


@pytest.mark.parametrize(("fail_on", "status"), [("PS101", 4), ("any", 4), ("warning", 0), ("PS103", 0)])
def test_it_fails_on_a_code_and_not_on_warnings(program: Program, fail_on: str, status: int) -> None:
    done = program.write(SICK).poolscope("lint", ".", "--fail-on", fail_on)
    assert (done.returncode, done.stderr) == (status, FAILED if status else "")


def test_ignores_on_the_line_in_the_project_and_by_argument(program: Program, tmp_path: Path) -> None:
    commented = SICK.replace('{item}"\n', '{item}"  # poolscope: ignore[PS101]\n')
    on_the_line = program.write(commented).poolscope("lint", ".", "--fail-on", "any")
    by_argument = program.write(SICK).poolscope("lint", ".", "--fail-on", "any", "--ignore", "PS101:*.py")
    (tmp_path / "pyproject.toml").write_text('[tool.poolscope]\nignore = ["PS101:program.py::total"]\n')
    in_the_project = program.poolscope("lint", ".", "--fail-on", "any")
    for done in (on_the_line, by_argument, in_the_project):
        assert (done.returncode, done.stdout) == (0, "0 hints in 1 file.\n")
        assert done.stderr == "poolscope: 1 finding ignored\n"


def test_a_comment_with_an_unknown_code(program: Program) -> None:
    done = program.write(SICK.replace("get(\n", "get(  # poolscope: ignore[PS9]\n")).poolscope("lint", ".")
    assert done.returncode == 2
    assert "program.py:6: # poolscope: ignore[…]: no finding has the code 'PS9'" in done.stderr


def test_a_baseline_of_runs_also_accepts_hints(program: Program, tmp_path: Path) -> None:
    entry = {"code": "PS101", "path": "program.py", "function": "total", "kind": "requests.get"}
    (tmp_path / "known.json").write_text(json.dumps({"version": 1, "accepted": [entry]}))
    done = program.write(SICK).poolscope("lint", ".", "--baseline", "known.json", "--fail-on", "any")
    assert (done.returncode, done.stderr) == (0, "poolscope: 1 finding accepted by the baseline\n")
    program.poolscope("lint", ".", "--write-baseline", "new.json")
    assert json.loads((tmp_path / "new.json").read_text())["accepted"] == [entry]


def test_the_formats_for_reviews(program: Program) -> None:
    program.write(SICK)
    github = program.poolscope("lint", ".", "--format", "github").stdout
    assert github.startswith(
        "::notice file=program.py,line=6,title=PS101 client per request::Each round of this"
    )
    assert "A hint: a run that shows PS101 proves it.%0AFix: Create one requests.Session()" in github
    (run,) = json.loads(program.poolscope("lint", ".", "--format", "sarif").stdout)["runs"]
    assert run["automationDetails"]["id"] == "poolscope-lint/", "or it would replace what runs have found"
    assert [(each["ruleId"], each["level"]) for each in run["results"]] == [("PS101", "note")]
    (entry,) = json.loads(program.poolscope("lint", ".", "--format", "gitlab").stdout)
    assert entry["location"] == {"path": "program.py", "lines": {"begin": 6}}
    report = json.loads(program.poolscope("lint", ".", "--format", "json").stdout)
    (hint,) = report["hints"]
    assert (report["version"], report["not_read"]) == (1, [])
    assert (hint["code"], hint["kind"], hint["call_site"]["line"]) == ("PS101", "requests.get", 6)


def test_one_line_for_each_file_that_cannot_be_read(program: Program, tmp_path: Path) -> None:
    program.write(SICK)
    (tmp_path / "bad.py").write_text("import requests\ndef f(:\n")
    done = program.poolscope("lint", ".")
    assert done.returncode == 1
    assert done.stdout.startswith(HINT)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"poolscope: {tmp_path / 'bad.py'}:2: is not Python 3")
    nowhere = program.poolscope("lint", "nowhere.py")
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert nowhere.stderr == "poolscope: can't read 'nowhere.py': No such file or directory\n"
    unknown = program.poolscope("lint", ".", "--fail-on", "PS9")
    assert (unknown.returncode, unknown.stdout) == (2, "")


def test_the_source_is_never_run(program: Program, tmp_path: Path) -> None:
    done = program.write(SICK + f"open({str(tmp_path / 'ran')!r}, 'w')\n").poolscope("lint", ".")
    assert done.stdout.startswith(HINT)
    assert not (tmp_path / "ran").exists()


def test_a_name_cannot_control_the_terminal(program: Program, tmp_path: Path) -> None:
    (tmp_path / "evil\x1b[2J\n.py").write_text(SICK)
    for format_ in ("text", "github", "json"):
        done = program.poolscope("lint", ".", "--format", format_)
        assert "\x1b" not in done.stdout + done.stderr
