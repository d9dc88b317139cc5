"""`make regress` runs tests over older code, so the modules that they import must exist there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.regress import COMMIT, HOUSE, git, marked

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
