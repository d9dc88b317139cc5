"""Code that is in no file, as of ``python -c`` and ``exec()``: it has a name that helps, and never a path."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

from poolscope import records
from poolscope.call_site import COMMAND
from tests.cli.conftest import Program

pytestmark = pytest.mark.processes

CODE = "import requests\nfor _ in range(60): requests.get('{url}')  # poolscope: ignore[PS101]\n"
SARIF = json.loads((Path(__file__).parents[1] / "reports" / "sarif.schema.json").read_text("utf-8"))


def code(program: Program) -> str:
    return CODE.replace("{url}", program.server.url("/fixed/"))


@pytest.fixture
def of_a_command(program: Program) -> Program:
    program.poolscope("run", "--quiet", "--save", str(program.saved), "-c", code(program))
    return program


@pytest.fixture
def of_exec(program: Program) -> Program:
    program.path.write_text(f"exec({code(program)!r})\n", encoding="utf-8")
    program.run("--quiet")
    return program


def view(program: Program, format_: str) -> str:
    done = program.poolscope("view", str(program.saved), "--format", format_)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_the_report_names_it(of_a_command: Program) -> None:
    shown = view(of_a_command, "text")
    assert "1 place to change: python -c, line 2." in shown
    assert "    python -c, line 2 in <module>\n" in shown
    assert "PS101 client per request  python -c, line 2 in <module>\n" in shown
    assert "<string>" not in shown
    assert " python -c · Python 3" in shown


def test_code_of_exec_is_not_the_command(of_exec: Program) -> None:
    shown = view(of_exec, "text")
    assert "PS101 client per request  exec(), line 2 in <module>\n" in shown
    assert "<string>" not in shown


def test_python_itself_may_have_run_the_command(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    python, environment = installed
    shown = subprocess.run(
        [python, "-c", code(program)],
        env=program.environment(POOLSCOPE="1", **environment),
        capture_output=True,
        text=True,
        check=True,
        cwd=program.directory,
    ).stderr
    assert "1 place to change: python -c, line 2." in shown


@pytest.mark.parametrize("which", ["of_a_command", "of_exec"])
def test_reviews_get_no_address_that_does_not_exist(which: str, request: pytest.FixtureRequest) -> None:
    program: Program = request.getfixturevalue(which)
    name = "python -c, line 2 in <module>" if which == "of_a_command" else "exec(), line 2 in <module>"
    log = json.loads(view(program, "sarif"))
    jsonschema.Draft202012Validator(SARIF).validate(log)
    (run,) = log["runs"]
    assert run["results"] == []
    (said,) = run["invocations"][0]["toolExecutionNotifications"]
    assert name in said["message"]["text"]
    github = view(program, "github")
    assert "file=" not in github
    assert name in github
    assert json.loads(view(program, "gitlab")) == []
    assert name in view(program, "markdown")


def test_pictures_name_it_without_an_address(of_a_command: Program) -> None:
    entries = json.loads(view(of_a_command, "har"))["log"]["entries"]
    assert len(entries) == 60
    assert not any("_initiator" in entry for entry in entries)
    assert "requests.get python -c, line 2 #" in view(of_a_command, "perfetto")


def test_the_record_says_that_there_is_no_file(of_a_command: Program) -> None:
    (built, *_) = of_a_command.of(records.Client)
    assert built.call_site == records.CallSite(COMMAND, 2, "<module>")


def test_a_file_of_that_name_is_not_read_for_comments(of_exec: Program) -> None:
    (of_exec.directory / "<string>").write_text("\nx = 1  # poolscope: ignore[PS101]\n", encoding="utf-8")
    done = of_exec.poolscope("view", str(of_exec.saved), "--fail-on", "PS101")
    assert done.returncode == 4
    assert "failed: PS101 client per request at exec(), line 2 in <module>" in done.stderr


def test_an_argument_ignores_it(of_a_command: Program) -> None:
    done = of_a_command.poolscope(
        "view", str(of_a_command.saved), "--fail-on", "PS101", "--ignore", f"PS101:{COMMAND}"
    )
    assert done.returncode == 0
    assert "1 finding ignored" in done.stderr


def test_a_program_that_changes_its_arguments_hides_the_command(program: Program) -> None:
    program.poolscope(
        "run",
        "--quiet",
        "--save",
        str(program.saved),
        "-c",
        "import sys; sys.argv = ['mine']\n" + code(program),
    )
    (built, *_) = program.of(records.Client)
    assert built.call_site.file == "<string>"
