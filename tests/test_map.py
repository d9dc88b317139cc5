"""CONTRIBUTING's map is true: what it names exists, and what it calls enough is enough."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from poolscope.findings import RULES, Rule
from poolscope.libraries.known import LIBRARIES
from poolscope.recording.unobserved import NOT_OBSERVED
from poolscope.records import CloseReason
from poolscope.reports.renderer import FORMAT_HELP, FORMATS, Format
from poolscope.signals.readings import READERS
from poolscope.signals.table import METRICS
from tests.test_secrets import OUTPUTS

HOUSE = Path(__file__).resolve().parent.parent
PACKAGE = HOUSE / "src" / "poolscope"
TEXT = (HOUSE / "CONTRIBUTING.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| ([a-z].+?) \| (.+) \|$", TEXT.partition("## The map")[2], re.MULTILINE))
MAKE = (HOUSE / "Makefile").read_text("utf-8")
BELOW_THE_CLIENTS = {"anyio", "trio", "ssl", "asyncio", "concurrent", "multiprocessing"}
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


def add_it_to(places: dict[str, bool]) -> list[str]:
    """The places where it has yet to be added."""
    return [place for place, is_there in places.items() if not is_there]


def text(path: str) -> str:
    return (HOUSE / path).read_text("utf-8")


CLIENTS = sorted({name.partition(".")[0] for name in LIBRARIES} - BELOW_THE_CLIENTS)
EXTRAS = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
CLOSES = {
    name
    for row in re.findall(r"^\| ([a-z0-9, ]+) \| ", text("docs/report.md"), re.MULTILINE)
    for name in row.split(", ")
}
"""The close reasons of docs/report.md."""


@pytest.mark.parametrize("name", CLIENTS)
def test_a_library_is_known_wherever_it_must_be(name: str) -> None:
    part = name.startswith("httpcore")
    assert not add_it_to({
        "its line in libraries/known.py, with the tested versions": bool(LIBRARIES[name].tested),
        "an extra in pyproject.toml": part or name in EXTRAS,
        "README.md, What it sees": part or name in text("README.md"),
        "nowhere any more: remove it from recording/unobserved.py": name not in NOT_OBSERVED,
    })  # fmt: skip


@pytest.mark.parametrize("reason", get_args(CloseReason))
def test_a_close_reason_is_known_wherever_it_must_be(reason: str) -> None:
    words = reason.replace("_", " ")
    tested = re.findall(r"^def test_(\w+)", text("tests/truth/test_close_reasons.py"), re.MULTILINE)
    assert not add_it_to({
        "ledger/closing.py, as a conclusion": f'"{reason}"' in text("src/poolscope/ledger/closing.py"),
        "docs/report.md, as a row": words in CLOSES,
        "docs/record.schema.json": f'"{reason}"' in text("docs/record.schema.json"),
        "tests/truth/test_close_reasons.py, as a test with its name": reason == "unknown"
        or any(reason in test for test in tested),
    })  # fmt: skip


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.kind != "histogram"])
def test_a_metric_is_read(name: str) -> None:
    assert name in READERS, "add its reader to READERS of signals/readings.py"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_finding_is_known_wherever_it_must_be(rule: type[Rule]) -> None:
    page = HOUSE / "docs" / "findings" / f"{rule.code}.md"
    tests = HOUSE / "tests" / "findings" / f"test_{rule.__module__.rpartition('.')[2]}.py"
    assert not add_it_to({
        "its own class, as `explanation`": bool(rule.explanation),
        f"docs/findings/{rule.code}.md": page.is_file(),
        "docs/findings.md, as a row": f"| [{rule.code}](findings/{rule.code}.md) |" in text("docs/findings.md"),
        f"tests/findings/{tests.name}": tests.is_file(),
    })  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_known_wherever_it_must_be(name: Format) -> None:
    module = "json_report" if name == "json" else name
    assert not add_it_to({
        f"reports/{module}.py": find_spec(f"poolscope.reports.{module}") is not None,
        "FORMAT_HELP of reports/renderer.py": re.search(rf"\b{name}\b", FORMAT_HELP) is not None,
        "docs/run.md": f"`{name}`" in text("docs/run.md"),
        "OUTPUTS of tests/test_secrets.py, or secrets could leave by it":
            name in ("text", "json") or f"view --format {name}" in OUTPUTS,
    })  # fmt: skip
