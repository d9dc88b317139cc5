"""Anybody can run what a forge runs: every step is a make target, every action is pinned."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

HOUSE = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((HOUSE / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (HOUSE / "Makefile").read_text("utf-8"), re.MULTILINE))
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job["steps"]


def commands() -> list[str]:
    """Everything that a workflow or a git hook runs."""
    hooks = [
        hook["entry"] for repo in read(HOUSE / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]
    ]
    return [step["run"] for path in WORKFLOWS for step in steps(path) if "run" in step] + hooks


def test_every_step_is_a_make_target() -> None:
    asked = [re.fullmatch(r"make (?:--no-print-directory )?([a-z-]+)", command) for command in commands()]
    assert {match[1] if match else None for match in asked} <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert not [action for action in used if not PINNED.fullmatch(action)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_permission_is_granted_that_no_job_needs(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert "secrets." not in path.read_text("utf-8")
    writing = {
        (name, scope)
        for name, job in workflow["jobs"].items()
        for scope, access in job["permissions"].items()
        if access == "write"
    }
    assert writing <= {("publish", "id-token")}


def test_every_python_that_the_index_lists_is_tested() -> None:
    promised = set(re.findall(r"Python :: (3\.\d+)", (HOUSE / "pyproject.toml").read_text("utf-8")))
    jobs = read(HOUSE / ".github" / "workflows" / "ci.yml")["jobs"]
    (setup,) = (step for step in jobs["tests"]["steps"] if "setup-python" in step.get("uses", ""))
    assert promised == {*jobs["fast"]["strategy"]["matrix"]["python"], setup["with"]["python-version"]}


def test_zizmor_is_silent() -> None:
    zizmor = Path(sysconfig.get_path("scripts"), "zizmor")
    words = ["--offline", "--no-progress", "--persona=pedantic", "--quiet", str(HOUSE / ".github")]
    done = subprocess.run([zizmor, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
