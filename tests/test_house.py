"""The laws of the house that a machine can check: who imports whom, how long a file is, what is never written."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from poolscope.libraries.known import LIBRARIES

HOUSE = Path(__file__).resolve().parent.parent
PACKAGE = HOUSE / "src" / "poolscope"
FILES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "genuine": set(),
    "identity": set(),
    "ids": set(),
    "facts": {"genuine", "ids"},
    "queue": {"facts", "genuine"},
    "call_site": set(),
    "records": {"call_site", "facts"},
    "story": {"facts", "ids", "queue", "genuine", "identity"},
    "libraries": {"facts", "queue", "story", "genuine", "identity"},
    "ledger": {"call_site", "facts", "ids", "queue", "records", "story"},
    "findings": {"ledger", "records"},
    "otel_version": set(),
    "signals": {"call_site", "facts", "genuine", "queue", "ledger", "records", "story", "otel_version"},
    # Findings are computed from the records a report reads, so that a saved file shows the same findings again.
    "reports": {"ledger", "records", "findings"},
    "gate": {"findings", "instrumentor", "ledger", "libraries", "recording", "records", "reports"},
    "look": {
        "facts",
        "genuine",
        "instrumentor",
        "ledger",
        "queue",
        "recording",
        "records",
        "reports",
        "story",
    },
}
"""Part → the parts it may import besides itself. A part that is not listed is a door and may import all."""

LONGEST_FILE = 350


def part_of(module: str) -> str | None:
    """``poolscope.story.live`` → ``story``; None for the package itself and everything outside."""
    head, _, rest = module.partition(".")
    return rest.partition(".")[0] or None if head == "poolscope" else None


def imported_by(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file, at whatever depth, relative ones made absolute."""
    package = ["poolscope", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                # `from poolscope import queue` names a part, `from poolscope.queue import FACTS` does not.
                yield node.lineno, f"{module}.{alias.name}" if module == "poolscope" else module


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(HOUSE))) for path in paths]


@pytest.mark.parametrize("path", named(FILES))
def test_imports_follow_the_flow_of_facts(path: Path) -> None:
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    allowed = MAY_IMPORT.get(part)
    if allowed is None:
        return
    wrong = [
        f"line {line}: {module}"
        for line, module in imported_by(path)
        if (other := part_of(module)) is not None and other not in allowed | {part}
    ]
    assert not wrong, f"{part} may import {sorted(allowed) or 'nothing of ours'}"


def test_the_law_names_only_parts_that_exist() -> None:
    there = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert set(MAY_IMPORT) <= there


@pytest.mark.parametrize("path", named([*FILES, *sorted(PACKAGE.rglob("*.js"))]))
def test_one_job_fits_a_file(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", named([*FILES, *sorted(HOUSE.glob("tests/**/*.py"))]))
def test_no_relative_imports(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]


FORBIDDEN = {
    "unfinished work": r"\b(TODO|FIXME|XXX|HACK)\b",
    "a path of one machine": r"(?<![\w.])/(root|work|opt|home/\w+)/(?!\.\.\.)\w",
    "a registry's address": r"pythonhosted\.org|\bpypi\.org",
    "who wrote it, instead of what it does": r"\b(chatgpt|claude|copilot|AI-generated|language model)\b",
}
TEXT = {".py", ".js", ".css", ".html", ".md", ".toml", ".json", ".yaml", ".yml", ".cfg", ".pth", ""}


def known_to_git() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def packed() -> list[str]:
    """The files of an sdist, without what its own `make test` has created."""
    paths = [path.relative_to(HOUSE) for path in HOUSE.rglob("*")]
    made = re.compile(r"(^|/)(\.\w*(venv|cache|hypothesis)|build|dist|__pycache__|PKG-INFO)")
    return [str(path) for path in paths if not made.search(str(path))]


def written() -> list[Path]:
    """Every text file that git knows or would add; in an unpacked sdist, every text file."""
    names = known_to_git() if (HOUSE / ".git").exists() else packed()
    paths = [HOUSE / name for name in names]
    return [path for path in paths if path.suffix in TEXT and path.is_file() and path != Path(__file__)]


@cache
def lines() -> list[tuple[str, int, str]]:
    """(file, number, text) of every line that is not empty."""
    return [
        (path.relative_to(HOUSE).as_posix(), number, line.strip())
        for path in written()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if line.strip()
    ]


@pytest.mark.parametrize(("what", "pattern"), FORBIDDEN.items(), ids=[what.split()[-1] for what in FORBIDDEN])
def test_never_written(what: str, pattern: str) -> None:
    search = re.compile(pattern, 0 if "TODO" in pattern else re.IGNORECASE).search
    assert not [f"{name}:{number}: {line}" for name, number, line in lines() if search(line)], what


HARD_TO_READ = {
    "told": r"\btold\b",
    "whose": r"\bwhose\b",
    "whoever": r"\bwhoever\b",
    "the one that": r"\bone[ _]that\b",
    "stands": r"\b(stands|stand in)\b",
    "that is none": r"\b(that|which|it)[ _](is|are)[ _](?-i:none)\b",
    "lies": r"\b(what|it|that) lies\b",
    "is said": r"\bis[ _]said\b",
    "mend": r"\bmend(s|ed)?\b",
    "goes away": r"\bgoes[ _]away\b",
    "upon": r"\bupon\b",
    "nobody's": r"\bnobody_?s\b",
    "1 findings": r"(?<![\d,.])1 (findings|requests|connections|clients)\b",
}
"""Words that make a sentence hard to read, each with a plainer way to say it."""
OLD = ("tests/old_suites/README.md",)
"""Files that quote names of old tests."""


@pytest.mark.parametrize("pattern", HARD_TO_READ.values(), ids=HARD_TO_READ)
def test_everything_is_plain_english(pattern: str) -> None:
    search = re.compile(pattern, re.IGNORECASE).search
    found = [(name, number, line) for name, number, line in lines() if name not in OLD and search(line)]
    assert not found, "say it in plainer words"


HEAVY = (
    "click",
    "rich",
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "requests",
    "urllib3",
    "opentelemetry",
    "anyio",
)


@pytest.mark.parametrize(
    "statement",
    [
        "import poolscope",
        "import poolscope; poolscope.instrument(signals=False); poolscope.uninstrument()",
        "import poolscope.testing",
        "import poolscope.ledger",
    ],
)
def test_watching_loads_nothing_heavy(statement: str) -> None:
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert "poolscope" in loaded
    assert not loaded & set(HEAVY)
    assert "ssl" not in loaded


def test_observing_loads_nothing_that_makes_records() -> None:
    """It would double what poolscope adds to the start of a program that only sends spans, or nothing."""
    program = (
        "import sys, httpx; before = set(sys.modules); import poolscope; poolscope.instrument(signals=False);"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {"poolscope.libraries.httpx", "poolscope.ledger"} <= loaded
    assert not loaded & {"poolscope.records", "poolscope.ledger.convert", "poolscope.ledger.snapshot"}
    assert not loaded & {"sysconfig", "json", "urllib.parse"}


def test_nothing_starts_a_thread_at_import() -> None:
    program = (
        "import poolscope, threading; poolscope.instrument(signals=False); print(threading.active_count())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1"


def hooked_files() -> list[Path]:
    return [path for path in FILES if path.relative_to(PACKAGE).parts[0] in ("libraries", "story", "ledger")]


def asked_of_python(path: Path, *names: str) -> list[str]:
    """The functions of a file in which one of these names is an attribute or is called, one entry for each place."""
    found = []

    def look(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        if (isinstance(node, ast.Attribute) and node.attr in names) or (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
        ):
            found.append(function)
        for child in ast.iter_child_nodes(node):
            look(child, function)

    look(ast.parse(path.read_text(encoding="utf-8")), "")
    return [f"{path.relative_to(PACKAGE)}:{function}".rstrip(":") for function in found]


def test_only_the_weaver_asks_for_the_callers_frame() -> None:
    asking = [place for path in FILES for place in asked_of_python(path, "_getframe", "currentframe")]
    assert asking == ["libraries/wrapper.py"]


ASKS_FOR_ATTRIBUTES = {
    "identity/values.py:_state": "a small part of a young client, such as its auth, once",
    "libraries/requests.py:_adapter": "a young session's adapter, once: a subclass keeps settings of its own there",
    "libraries/httpcore/pool.py:_copy_of": "a request that is not used after it was copied",
    "libraries/original.py:_definer": "classes",
    "libraries/weaver.py:_weave": "classes",
    "libraries/weaver.py:_put_back": "classes",
    "libraries/weaver.py:_definer": "classes",
    "libraries/wrapper.py:wrapper_of": "a module of Python's",
}
"""Reading an object's `__dict__` makes later loads of its attributes slower."""


def test_no_object_of_a_library_gets_slower() -> None:
    """A new class, or a look at all its attributes, would slow down each later access to one of them."""
    files = [
        path
        for path in FILES
        if path.relative_to(PACKAGE).parts[0] in ("identity", "libraries", "story", "ledger")
    ]
    assert not [path for path in files if re.search(r"__class__\s*=[^=]", path.read_text("utf-8"))]
    asking = {place for path in files for place in asked_of_python(path, "vars", "__dict__")}
    assert asking == ASKS_FOR_ATTRIBUTES.keys()


def test_nothing_is_hooked_that_a_library_polls() -> None:
    polled = {
        "get_extra_info", "is_available", "is_closed", "has_expired", "is_idle", "can_handle_request", "is_connected",
        "is_readable"
    }  # fmt: skip
    hooked = {
        point.method
        for name, library in LIBRARIES.items()
        if find_spec(name)
        for point in importlib.import_module(library.hooks).points(importlib.import_module(name))
    }
    assert len(hooked) > 30
    assert not hooked & polled


@pytest.mark.parametrize("library", ["httpx", "httpcore", "requests", "urllib3", "aiohttp"])
def test_the_story_and_the_ledger_import_no_library(library: str) -> None:
    others = [path for path in hooked_files() if path.relative_to(PACKAGE).parts[0] != "libraries"]
    assert not [
        path for path in others if any(module.partition(".")[0] == library for _, module in imported_by(path))
    ]


TESTS = HOUSE / "tests"
MAP = (HOUSE / "CONTRIBUTING.md").read_text(encoding="utf-8")
OF_MANY = set(re.findall(r"`(?:tests/)?((?:\w+/)?test_\w+\.py)`", MAP))
"""Tests that the map names, with what they hold."""
OF_A_FOLDER = set(re.findall(r"^\| `tests/(\w+)/` \|", MAP, re.MULTILINE))


def has_a_source(test: Path) -> bool:
    """Whether it has the name of a file or folder of ours, or begins with one."""
    folder, name = PACKAGE / test.relative_to(TESTS).parent, test.stem.removeprefix("test_")
    words = name.split("_")
    names = {"_".join(words[:number]) for number in range(1, len(words) + 1)}
    return name == folder.name or any(
        (folder / f"{each}.py").is_file() or (folder / each).is_dir() for each in names
    )


@pytest.mark.parametrize("path", named(sorted(TESTS.rglob("test_*.py"))))
def test_a_test_is_found_by_its_sources_name_or_on_the_map(path: Path) -> None:
    name = path.relative_to(TESTS)
    assert name.parts[0] in OF_A_FOLDER or str(name) in OF_MANY or has_a_source(path), (
        "name it after its source, or add it to the map in CONTRIBUTING.md"
    )


def test_the_map_names_only_tests_that_exist() -> None:
    there = {str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
    assert OF_MANY <= there
    assert all((TESTS / folder).is_dir() for folder in OF_A_FOLDER)


NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(path: Path) -> int:
    """Lines with code on them: no comments, no docstrings, nothing empty."""
    said = {
        line
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in NO_CODE]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - said)


def test_a_library_costs_little() -> None:
    assert sum(map(code_lines, sorted((PACKAGE / "libraries" / "aiohttp").glob("*.py")))) <= 350


def test_nothing_of_aiohttp_is_outside_of_libraries_and_tables() -> None:
    others = [path for path in hooked_files() if path.relative_to(PACKAGE).parts[0] != "libraries"]
    assert not [path for path in others if "aiohttp" in path.read_text(encoding="utf-8").lower()]
