"""`make regress` runs tests over older code, so the modules that they import must exist there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.regress import COMMIT, HOUSE, OVER_OLD_CODE, environment, git, marked, run, the_old_house

pytestmark = pytest.mark.skipif(not (HOUSE / ".git").exists(), reason="an unpacked sdist has no history")
CONFTESTS = ["tests/conftest.py", "tests/cli/conftest.py"]


def modules(path: Path) -> set[str]:
    """What a file imports from poolscope when it is loaded."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.partition(".")[0] == "poolscope"}


@pytest.mark.parametrize("name", [*CONFTESTS, *marked()])
def test_it_imports_only_what_existed_there(name: str) -> None:
    there = set(git("ls-tree", "-r", "--name-only", COMMIT, "src").split())
    missing = [
        module
        for module in modules(HOUSE / name)
        if not {f"src/{module.replace('.', '/')}{ending}" for ending in (".py", "/__init__.py")} & there
    ]
    assert not missing


@pytest.mark.processes
def test_a_test_of_a_fixed_fault_fails_over_the_code_that_had_it(tmp_path: Path) -> None:
    """The whole takes ten minutes; this is to see that it can be run."""
    words = ["tests/cli/test_mutations.py", "-k", "that_broke_once"]
    with the_old_house(tmp_path) as there:
        outcomes = run(environment(there, tmp_path), there, tmp_path / "before.xml", words, OVER_OLD_CODE)
    assert outcomes
    assert all(outcome.convincing for outcome in outcomes), outcomes
