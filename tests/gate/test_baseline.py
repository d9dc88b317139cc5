"""The baseline accepts a habit wherever its lines move, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poolscope.findings.fingerprint import Fingerprint
from poolscope.gate import baseline
from poolscope.recording.errors import UsageError
from poolscope.records import CallSite
from tests.gate.findings import WHERE, finding


def of(root: Path, **changes: Any) -> Fingerprint:
    return Fingerprint.of(finding(root, **changes), str(root))


def test_a_written_baseline_is_read_back_sorted_and_without_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    first, second = of(tmp_path), of(tmp_path, code="PS104")
    baseline.write(str(path), [second, first, first])
    assert baseline.read(str(path)) == {first, second}
    assert [entry["code"] for entry in json.loads(path.read_text())["accepted"]] == ["PS101", "PS104"]
    assert str(tmp_path) not in path.read_text()


def test_it_matches_at_another_line_on_another_server_and_in_another_checkout(tmp_path: Path) -> None:
    elsewhere = tmp_path / "checkout"
    site = replace(WHERE, file=str(elsewhere / WHERE.file), line=77)
    moved = finding(call_site=site, origin="http://127.0.0.1:9", count=9)
    assert Fingerprint.of(moved, str(elsewhere)) == of(tmp_path)
    assert Fingerprint.of(moved, str(elsewhere)).digest() == of(tmp_path).digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "PS102"},
        {"kind": "httpx.get"},
        {"call_site": CallSite("shop/other.py", 3, "Shop.price")},
        {"call_site": CallSite("shop/prices.py", 3, "price")},
        {"call_site": None},
    ],
    ids=["code", "kind", "file", "function", "no line"],
)
def test_a_different_part_makes_a_different_entry(changes: dict[str, Any]) -> None:
    assert Fingerprint.of(finding(**changes), "/srv") != Fingerprint.of(finding(), "/srv")
    assert Fingerprint.of(finding(**changes), "/srv").digest() != Fingerprint.of(finding(), "/srv").digest()


def test_an_installed_package_has_the_same_path_in_every_environment() -> None:
    site = CallSite("/env/lib/python3.11/site-packages/sdk/client.py", 5, "Api.call")
    other = CallSite("/other/lib/python3.13/site-packages/sdk/client.py", 6, "Api.call")
    assert (
        Fingerprint.of(finding(call_site=None, sdk_call_site=site), "/srv").path
        == Fingerprint.of(finding(call_site=None, sdk_call_site=other), "/else").path
        == "sdk/client.py"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "can't read the baseline"),
        ("{", "is not JSON"),
        ("[]", "is not a baseline of version 1"),
        ('{"version": 2, "accepted": []}', "is not a baseline of version 1"),
        ('{"version": 1, "accepted": {}}', "is not a baseline of version 1"),
        ('{"version": 1, "accepted": ["PS101"]}', r"accepted\[0\] is not an object"),
        ('{"version": 1, "accepted": [{"code": "PS101"}]}', r"accepted\[0\] has no text as its 'path'"),
        ("[" * 100_000, "is not JSON"),
    ],
    ids=["not there", "no JSON", "a list", "newer", "no list", "a word", "half", "deep"],
)
def test_an_invalid_baseline_is_one_error_that_names_the_file(
    tmp_path: Path, content: str | None, says: str
) -> None:
    path = tmp_path / "known.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=says) as error:
        baseline.read(str(path))
    assert str(path) in str(error.value)


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't write"):
        baseline.write(str(tmp_path / "no" / "known.json"), [])
