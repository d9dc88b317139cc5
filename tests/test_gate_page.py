"""docs/gate.md and action.yml: what they tell you to copy works as written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from poolscope.gate.config import config_for
from tests.servers import in_thread
from tests.under_pytest.conftest import SHOP, SOURCE

HOUSE = Path(__file__).resolve().parent.parent
PAGE = (HOUSE / "docs" / "gate.md").read_text("utf-8")
ACTION: dict[str, Any] = yaml.safe_load((HOUSE / "action.yml").read_text("utf-8"))
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
TEST = "from shop import total\n\n\ndef test_total():\n    assert total(range(5))\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


WORKFLOW, GITLAB, HOOK = blocks("yaml")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    with in_thread() as server:
        (tmp_path / "shop.py").write_text(SHOP.replace("{url}", server.url("/fixed/")))
        (tmp_path / "test_shop.py").write_text(TEST)
        yield tmp_path


def environment(**more: str) -> dict[str, str]:
    tools = os.path.dirname(sys.executable)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTEST"))}
    plain |= {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": SOURCE}
    return plain | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p poolscope_pytest"} | more


def test_the_table_for_pyproject_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(blocks("toml")[0])
    settings = config_for(str(tmp_path))
    assert [ignore.code for ignore in settings.ignores] == ["PS106", "PS101"]
    assert settings.baseline == str(tmp_path / "poolscope-baseline.json")


def test_the_workflow_gives_the_action_inputs_and_takes_outputs_that_it_has() -> None:
    steps = yaml.safe_load(WORKFLOW)["jobs"]["tests"]["steps"]
    (ours,) = [step for step in steps if step.get("id") == "poolscope"]
    assert set(ours["with"]) <= set(ACTION["inputs"])
    assert set(re.findall(r"steps\.poolscope\.outputs\.(\w+)", WORKFLOW)) <= set(ACTION["outputs"])


def test_no_input_is_inserted_into_the_script() -> None:
    """A branch's name would become code."""
    (step,) = ACTION["runs"]["steps"]
    assert "${{" not in step["run"]
    used = set(re.findall(r"inputs\.([\w-]+)", yaml.dump(step)))
    assert used == set(ACTION["inputs"])


def act(project: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """The action's step, as a runner runs it."""
    (step,) = ACTION["runs"]["steps"]
    values = {name: about.get("default", "") for name, about in ACTION["inputs"].items()} | inputs
    given = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: values[m[1]], text)
        for name, text in step["env"].items()
    }
    runner = project / "runner"
    runner.mkdir(exist_ok=True)
    files = {"GITHUB_OUTPUT": str(runner / "output"), "GITHUB_STEP_SUMMARY": str(runner / "summary")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=project, env=environment(RUNNER_TEMP=str(runner), **files, **given),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.processes
def test_the_action_fails_with_line_lanes_and_fix_in_annotation_summary_and_sarif(project: Path) -> None:
    done = act(project, **{"fail-on": "PS101,PS103", "pytest": "-q --no-header"})
    assert done.returncode == 1, done.stderr
    (annotation,) = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert "file=shop.py,line=9,title=PS101 client per request::" in annotation
    summary = (project / "runner" / "summary").read_text("utf-8")
    for text in (annotation, summary, (project / "runner" / "poolscope.sarif").read_text("utf-8")):
        assert "Fix: Create one requests.Session()" in text
        assert re.search(r"#\d+ +[━█]", text), "the lanes"
    assert (project / "runner" / "output").read_text() == f"sarif={project / 'runner' / 'poolscope.sarif'}\n"


@pytest.mark.processes
def test_the_action_passes_where_it_is_ignored(project: Path) -> None:
    done = act(project, **{"fail-on": "any", "ignore": "PS101:shop.py PS106"})
    assert done.returncode == 0, done.stdout
    assert "::" not in "".join(line[:2] for line in done.stdout.splitlines())


@pytest.mark.processes
def test_the_job_for_gitlab_writes_the_report_that_it_names(project: Path) -> None:
    job = yaml.safe_load(GITLAB)["tests"]
    command = job["script"][-1]
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=project, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (entry,) = yaml.safe_load((project / job["artifacts"]["reports"]["codequality"]).read_text("utf-8"))
    assert entry["location"] == {"path": "shop.py", "lines": {"begin": 9}}
    assert (entry["check_name"], entry["severity"] in ("info", "minor", "major", "critical", "blocker")) == (
        "PS101",
        True,
    )
    assert re.fullmatch("[0-9a-f]{32}", entry["fingerprint"])


@pytest.mark.processes
def test_the_hook_stops_a_push(project: Path) -> None:
    (project / ".pre-commit-config.yaml").write_text(HOOK)
    run = {"cwd": project, "env": environment(PRE_COMMIT_HOME=str(project / "home"))}
    for command in ("git init -q", "git add shop.py test_shop.py .pre-commit-config.yaml"):
        subprocess.run(command.split(), check=True, **run)  # type: ignore[call-overload]
    done = subprocess.run(
        ["pre-commit", "run", "--hook-stage", "pre-push", "--all-files"],
        capture_output=True, text=True, check=False, timeout=60, **run,
    )  # type: ignore[call-overload]  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "failed: PS101 client per request at shop.py:9 in Shop.price" in done.stdout
    assert "no new habits of HTTP connections" in done.stdout


@pytest.fixture(scope="module")
def actionlint() -> str:
    """Built with Go, and kept."""
    home = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "poolscope-go"
        / ACTIONLINT.rpartition("@")[2]
    )
    program = home / "actionlint"
    if not program.exists():
        go = shutil.which("go") or "/usr/local/go/bin/go"
        subprocess.run(
            [go, "install", ACTIONLINT], env={**os.environ, "GOBIN": str(home)}, check=True, timeout=300
        )
    return str(program)


@pytest.mark.validators
def test_actionlint_accepts_the_workflow_with_the_action(actionlint: str, tmp_path: Path) -> None:
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    shutil.copy(HOUSE / "action.yml", tmp_path)

    def lint(workflow: str) -> subprocess.CompletedProcess[str]:
        path = workflows / "tests.yml"
        path.write_text(workflow.replace("OWNER/poolscope@main", "./"))
        return subprocess.run(
            [actionlint, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    accepted = lint(WORKFLOW)
    assert (accepted.returncode, accepted.stdout) == (0, "")
    wrong = lint(WORKFLOW.replace("fail-on:", "fails-on:").replace("outputs.sarif", "outputs.serif"))
    assert 'input "fails-on" is not defined' in wrong.stdout
    assert 'property "serif" is not defined' in wrong.stdout
