"""``# poolscope: ignore[PS101]`` in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolscope.gate.comments import Comments
from poolscope.records import CallSite

SOURCE = """\
import requests

one = requests.get("http://x")  # poolscope: ignore[PS101]
two = requests.get(
    "http://x",
    timeout=5,
)  # why: it is polled once a day  # poolscope: ignore[PS101, PS106]
text = "# poolscope: ignore[PS103]"
with requests.Session() as session:  # poolscope:ignore[ps102]
    session.get("http://x")
three = requests.get("http://x")  # poolscope: ignored by nobody
"""


def at(path: Path, line: int) -> list[tuple[str, ...]]:
    comments = Comments()
    found = [comment.codes for comment in comments.at(CallSite(str(path), line, "f"))]
    assert not comments.errors
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        (1, []),
        (3, [("PS101",)]),
        (4, [("PS101", "PS106")]),
        (5, [("PS101", "PS106")]),
        (7, [("PS101", "PS106")]),
        (8, []),
        (9, [("PS102",)]),
        (10, []),
        (11, []),
    ],
)
def test_it_counts_for_its_statement_and_no_other(
    source: Path, line: int, codes: list[tuple[str, ...]]
) -> None:
    assert at(source, line) == codes


@pytest.mark.parametrize("written", ["ignore", "ignore[]", "ignore[PS101, PS9]"])
def test_an_invalid_comment_is_an_error_with_its_file_and_line(tmp_path: Path, written: str) -> None:
    path = tmp_path / "source.py"
    path.write_text(f"x = 1\ny = 2  # poolscope: {written}\n")
    comments = Comments()
    assert not list(comments.at(CallSite(str(path), 2, "f")))
    assert list(comments.errors) == [f"{path}:2"]
    assert f"{path}:2: # poolscope: ignore" in comments.errors[f"{path}:2"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"def (:  # poolscope: ignore[PS101]\n",
        b"# coding: nonsense\n# poolscope:",
        b"\xff\xfe poolscope:",
        None,
    ],
    ids=["empty", "no Python", "unknown encoding", "not UTF-8", "not there"],
)
def test_a_file_that_is_not_source_has_no_comments(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "source.py"
    if content is not None:
        path.write_bytes(content)
    assert at(path, 3) == []


def test_code_without_a_file_does_no_harm() -> None:
    assert at(Path("<string>"), 1) == []


def test_a_warning_about_the_file_neither_appears_nor_hides_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    path.write_text("one = requests.get(\n    'http://x',  # poolscope: ignore[PS101]\n    data='\\d',\n)\n")
    assert at(path, 1) == [("PS101",)]
