"""Which findings fail a run, as a person writes them."""

from __future__ import annotations

import pytest

from poolscope.gate.codes import CODES, FailOn, codes
from poolscope.recording.errors import UsageError
from tests.gate.findings import finding


def test_codes_may_have_commas_or_blanks_and_any_case() -> None:
    assert codes("ps101, PS103 PS104", "here") == ("PS101", "PS103", "PS104")


@pytest.mark.parametrize("text", ["PS999", "PS101,PS1", "all", "PS101;PS103"])
def test_an_unknown_code_is_an_error_that_names_its_place_and_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match=r"^setup\.cfg:3: no finding has the code") as error:
        codes(text, "setup.cfg:3")
    assert all(code in str(error.value) for code in CODES)


@pytest.mark.parametrize("text", ["", " , "])
def test_no_code_at_all_is_an_error_too(text: str) -> None:
    with pytest.raises(UsageError, match=r"^here: "):
        codes(text, "here")
    with pytest.raises(UsageError, match=r"^--fail-on: "):
        FailOn.parse(text, "--fail-on")


@pytest.mark.parametrize(
    ("asked", "severity", "fails"),
    [
        ("PS101", "info", True),
        ("PS103", "warning", False),
        ("warning", "warning", True),
        ("WARNING", "info", False),
        ("any", "info", True),
        ("PS103,warning", "info", False),
    ],
)
def test_a_code_counts_whatever_its_severity(asked: str, severity: str, fails: bool) -> None:
    assert FailOn.parse(asked, "--fail-on").fails(finding(severity=severity)) is fails


def test_nothing_fails_without_an_option() -> None:
    assert not FailOn()
    assert not FailOn().fails(finding())
