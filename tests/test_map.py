"""CONTRIBUTING's map is true: what it names exists, and what it calls enough is enough."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from poolscope.libraries.known import LIBRARIES
from poolscope.recording.unobserved import NOT_OBSERVED
from poolscope.reports.renderer import FORMAT_HELP, FORMATS
from tests.test_secrets import OUTPUTS

HOUSE = Path(__file__).resolve().parent.parent
PACKAGE = HOUSE / "src" / "poolscope"
TEXT = (HOUSE / "CONTRIBUTING.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| ([a-z].+?) \| (.+) \|$", TEXT.partition("## The map")[2], re.MULTILINE))
MAKE = (HOUSE / "Makefile").read_text("utf-8")
BELOW_THE_CLIENTS = {"anyio", "trio", "ssl", "asyncio", "concurrent"}
"""They are watched for what a client does with them, and have no clients of their own."""


def found(name: str, beside: list[Path]) -> Path | None:
    """The file or folder that a row calls ``name``: from the top, in the package, or beside the one before."""
    folders = [folder if folder.is_dir() else folder.parent for folder in beside]
    return next((path for top in (HOUSE, PACKAGE, *folders) if (path := top / name).exists()), None)


def has(word: str, path: Path) -> bool:
    files = [path] if path.is_file() else path.rglob("*.py")
    return any(re.search(rf"\b{word}\b", file.read_text("utf-8")) for file in files)


def wrong(row: str) -> list[str]:
    """The names in a row of the map that do not exist."""
    missing: list[str] = []
    paths: list[Path] = []
    words: list[str] = []
    for name in re.findall(r"`([^`]+)`", row):
        if name.startswith("make "):
            missing += [] if re.search(rf"^{name[5:]}:", MAKE, re.MULTILINE) else [name]
        elif "/" in name or "." in name:
            path = found(name.removeprefix("python "), paths)
            paths += [path] if path else []
            missing += [] if path else [name]
        else:
            words.append(name)
    return missing + [word for word in words if not any(has(word, path) for path in paths)]


def test_the_map_is_read() -> None:
    assert {"add a library", "add a close reason", "add a metric", "add a finding", "add a format"} <= set(
        ROWS
    )


@pytest.mark.parametrize("want", ROWS)
def test_everything_it_names_exists(want: str) -> None:
    if ROWS[want] not in ("anything", "nothing of ours") and not want.startswith("`"):
        assert wrong(ROWS[want]) == []


def test_a_wrong_row_is_noticed() -> None:
    assert wrong("`ledger/closing.py`: `NO_REASONS`, then `nowhere.py` and `make nothing`") == [
        "nowhere.py", "make nothing", "NO_REASONS"
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted({name.partition(".")[0] for name in LIBRARIES} - BELOW_THE_CLIENTS))
def test_a_library_is_known_wherever_it_must_be(name: str) -> None:
    extras = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert LIBRARIES[name].tested, "doctor says which versions were tested"
    assert name not in NOT_OBSERVED
    assert name.startswith("httpcore") or name in extras
    assert name.startswith("httpcore") or name in (HOUSE / "README.md").read_text("utf-8")


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_known_wherever_it_must_be(name: str) -> None:
    assert re.search(rf"\b{name}\b", FORMAT_HELP)
    assert f"`{name}`" in (HOUSE / "docs" / "run.md").read_text("utf-8")
    assert name in ("text", "json") or f"view --format {name}" in OUTPUTS, "or secrets could leave by it"
