"""``CODE[:PATH][@SERVER]``, the one way to write what to ignore."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolscope.gate.ignores import Ignore
from poolscope.recording.errors import UsageError
from tests.gate.findings import finding


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("PS101", True),
        ("PS103", False),
        ("PS101:shop/prices.py", True),
        ("PS101:shop/*", True),
        ("PS101:prices.py", False),
        ("PS101:shop/prices.py::Shop.price", True),
        ("PS101:shop/*::Shop.*", True),
        ("PS101:shop/prices.py::Shop", False),
        ("PS101@api.partner.example", True),
        ("PS101@*.example", True),
        ("PS101@https://*", True),
        ("PS101@*.internal", False),
        ("PS101:shop/*@*.example", True),
        ("PS101:tools/*@*.example", False),
        ("PS101:shop/*@*.internal", False),
    ],
)
def test_which_findings_it_covers(text: str, covered: bool, tmp_path: Path) -> None:
    assert Ignore.parse(text, "here").covers(finding(tmp_path), str(tmp_path)) is covered


def test_a_path_covers_no_finding_without_a_line(tmp_path: Path) -> None:
    nowhere = finding(call_site=None)
    assert Ignore.parse("PS101", "here").covers(nowhere, str(tmp_path))
    assert not Ignore.parse("PS101:*", "here").covers(nowhere, str(tmp_path))


@pytest.mark.parametrize("text", ["PS101:", "PS101@", "PS101: @x", "PS9", "", "shop/*.py"])
def test_an_invalid_ignore_is_an_error_that_names_its_place(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--ignore: "):
        Ignore.parse(text, "--ignore")
