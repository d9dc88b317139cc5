"""`python -m tests.old_suites truth cli …`: the tests from before the hooks were rebuilt, over today's code.

Unchanged behaviour passes them. README.md beside this file lists every test that fails, with what has changed on
purpose. A failing test that is not listed is a fault, and so is a listed test that passes.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.regress import COMMIT, HOUSE, git

PAGE = Path(__file__).resolve().parent / "README.md"
PLUGIN = Path(__file__).resolve().parent / "plugin"
SUITES = ("truth", "cli", "signals", "compat", "services")
ROW = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def rows(title: str, page: str | None = None) -> dict[str, str]:
    """The rows of the page's table under ``title``."""
    text = PAGE.read_text("utf-8") if page is None else page
    return dict(ROW.findall(text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]))


@dataclass
class Verdict:
    """How the old tests ended, and which of them the page is wrong about."""

    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Test → reason."""
    unknown: list[str] = field(default_factory=list)
    """They fail, and the page does not say why."""
    listed_wrongly: list[str] = field(default_factory=list)
    """The page says they fail, and they pass or are not there."""


def judge(outcomes: dict[str, bool], reasons: dict[str, str], suites: tuple[str, ...]) -> Verdict:
    """Compare the outcomes with the page; a row without parameters means all parameters of its test."""
    verdict = Verdict(passed=sum(outcomes.values()))
    used: set[str] = set()
    for test in sorted(test for test, passed in outcomes.items() if not passed):
        row = next(
            (name for name in (test, test.partition("[")[0], test.partition("::")[0]) if name in reasons),
            None,
        )
        if row is None:
            verdict.unknown.append(test)
        else:
            used.add(row)
            verdict.failed[test] = reasons[row]
    asked = tuple(f"{suite}/" for suite in suites)
    verdict.listed_wrongly = [name for name in reasons if name.startswith(asked) and name not in used]
    return verdict


@contextmanager
def the_old_tests(home: Path) -> Iterator[Path]:
    """A worktree of the old commit with today's code in it."""
    there = home / "house"
    git("worktree", "add", "--quiet", "--detach", str(there), COMMIT)
    try:
        (there / "src").rename(there / "src-then")
        (there / "src").symlink_to(HOUSE / "src")
        yield there
    finally:
        git("worktree", "remove", "--force", str(there))


def run(there: Path, suite: str, results: Path) -> dict[str, bool]:
    """Test → whether it passed, as ``cli/test_run.py::test_name[parameter]``."""
    # These plugins came with packages that today's tests need.
    plugins = ["no:cacheprovider", "no:asyncio", "no:logfire", "poolscope_moved"]
    command = [sys.executable, "-m", "pytest", "-q", *(word for name in plugins for word in ("-p", name))]
    command += [
        "--timeout",
        "300",
        "-n",
        os.environ.get("JOBS", "2"),
        "--dist",
        "loadfile",
        "--junit-xml",
        str(results),
    ]
    subprocess.run(
        [*command, f"tests/{suite}"],
        cwd=there,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(there / "src"), str(PLUGIN)])},
        check=False,
    )
    cases = ET.parse(results).getroot().iter("testcase")
    return dict(outcome(case) for case in cases)


def outcome(case: ET.Element) -> tuple[str, bool]:
    words = (case.get("classname") or case.get("name") or "").removeprefix("tests.").split(".")
    classes = [word for word in words if word.startswith("Test")]
    file = "/".join(words[: len(words) - len(classes)]) + ".py"
    names = [*classes, case.get("name") or ""] if case.get("classname") else []
    passed = not any(child.tag in ("failure", "error") for child in case)
    return "::".join([file, *names]), passed


def functions(text: str) -> list[str]:
    """The tests in a file."""
    found = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [each.name for each in found if each.name.startswith("test_")]


def unmapped(listed: dict[str, str]) -> list[str]:
    """Tests of the old hooks that are neither in today's file of the same name nor on the page."""
    missing = []
    for name in git("ls-tree", "--name-only", COMMIT, "tests/hooks/").split():
        file = Path(name).name
        if not file.startswith("test_"):
            continue
        today = HOUSE / "tests" / "libraries" / file
        kept = functions(today.read_text("utf-8")) if today.exists() else []
        for test in functions(git("show", f"{COMMIT}:{name}")):
            if test not in kept and f"{file}::{test}" not in listed:
                missing.append(f"{file}::{test}")
    return missing


def main(suites: tuple[str, ...]) -> int:
    """1 if a test fails that the page does not list, or passes that it lists."""
    unknown = [suite for suite in suites if suite not in SUITES]
    if unknown:
        print(f"no suite called {', '.join(unknown)}; there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    gone = unmapped(rows("The tests of the hooks"))
    if gone:
        print(
            "README.md does not say where these tests of the old hooks are:",
            *gone,
            sep="\n  ",
            file=sys.stderr,
        )
        return 1
    outcomes: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder, the_old_tests(Path(folder)) as there:
        for suite in suites:
            outcomes |= run(there, suite, Path(folder) / f"{suite}.xml")
    verdict = judge(outcomes, rows("What has changed on purpose"), suites)
    print(f"\n{verdict.passed} pass as they did, {len(verdict.failed)} fail for a reason that is listed")
    for title, tests in (
        ("fail, and README.md does not say why", verdict.unknown),
        ("are listed in README.md, and do not fail", verdict.listed_wrongly),
    ):
        if tests:
            print(f"\n{title}:", *tests, sep="\n  ")
    return 1 if verdict.unknown or verdict.listed_wrongly or not verdict.passed else 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or SUITES))
