"""A test that fails without a reason is a fault, and so is a reason with a passing test."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ET

import pytest

from tests.old_suites.__main__ import PAGE, SUITES, judge, main, outcome, rows, unmapped
from tests.regress import HOUSE

REASONS = {
    "cli/test_a.py::test_words": "plainer words",
    "cli/test_b.py": "moved",
    "truth/test_c.py::test_d": "-",
}


def test_each_failure_has_its_reason() -> None:
    verdict = judge(
        {
            "cli/test_a.py::test_words[one]": False,
            "cli/test_a.py::test_good": True,
            "cli/test_b.py::test_x": False,
        },
        REASONS,
        ("cli",),
    )
    assert verdict.passed == 1
    assert verdict.failed == {
        "cli/test_a.py::test_words[one]": "plainer words",
        "cli/test_b.py::test_x": "moved",
    }
    assert (verdict.unknown, verdict.listed_wrongly) == ([], [])


def test_unlisted_failures_and_listed_passes_are_reported() -> None:
    verdict = judge({"cli/test_a.py::test_other": False, "cli/test_b.py::test_x": True}, REASONS, ("cli",))
    assert verdict.unknown == ["cli/test_a.py::test_other"]
    assert verdict.listed_wrongly == ["cli/test_a.py::test_words", "cli/test_b.py"], "of the suites that ran"


@pytest.mark.parametrize(
    ("classname", "name", "expected"),
    [
        ("tests.cli.test_run", "test_a[one.two]", "cli/test_run.py::test_a[one.two]"),
        ("tests.signals.test_spans.TestOwner", "test_b", "signals/test_spans.py::TestOwner::test_b"),
        ("", "tests.cli.test_view", "cli/test_view.py"),
    ],
)
def test_a_test_is_called_as_pytest_calls_it(classname: str, name: str, expected: str) -> None:
    case = ET.Element("testcase", classname=classname, name=name)
    assert outcome(case) == (expected, True)
    ET.SubElement(case, "failure")
    assert outcome(case) == (expected, False)


def test_a_suite_that_did_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("nothing",)) == 2
    assert "nothing" in capsys.readouterr().err


def test_the_page_is_read() -> None:
    listed = rows("What has changed on purpose")
    assert len(listed) > 10
    assert {name.partition("/")[0] for name in listed} <= set(SUITES)
    assert all(reason[0] != "-" for reason in listed.values())


def test_the_tests_that_replaced_those_of_the_hooks_exist() -> None:
    text = PAGE.read_text("utf-8").partition("\n## The tests of the hooks\n")[2]
    named = re.findall(r"`((?:libraries|identity|signals)/\w+\.py)::(\w+)`", text)
    assert named
    for file, test in named:
        functions = ast.walk(ast.parse((HOUSE / "tests" / file).read_text("utf-8")))
        assert test in [node.name for node in functions if isinstance(node, ast.FunctionDef)]


def test_each_test_of_the_old_hooks_has_its_place() -> None:
    listed = rows("The tests of the hooks")
    assert unmapped(listed) == []
    assert "test_patching.py::test_what_is_replaced_later_counts" in unmapped({})
