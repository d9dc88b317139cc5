"""What the gate says of a run: what fails it, what is ignored, and which ignores are no longer needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poolscope.findings.fingerprint import Fingerprint
from poolscope.gate import baseline
from poolscope.gate.verdict import Gate, GateOptions, gate_for, sentences
from poolscope.recording.errors import UsageError
from poolscope.records import CallSite
from tests.gate.findings import WHERE, finding

CALM = "import requests\n\nrequests.get('http://x'){comment}\n"


def project(root: Path, comment: str = "", table: str = "") -> Path:
    (root / "shop").mkdir()
    (root / WHERE.file).write_text(CALM.format(comment=comment))
    (root / "pyproject.toml").write_text(f"[tool.poolscope]\n{table}\n")
    return root


def gate(root: Path, **options: Any) -> Gate:
    return gate_for(GateOptions(**{"fail_on": "PS101", **options}), str(root))


def line(root: Path, number: int = WHERE.line) -> CallSite:
    return replace(WHERE, file=str(root / WHERE.file), line=number)


def test_a_selected_finding_fails(tmp_path: Path) -> None:
    root = project(tmp_path)
    verdict = gate(root).judge([finding(root), finding(root, code="PS103")], [line(root)])
    assert [failing.code for failing in verdict.failing] == ["PS101"]
    assert sentences(verdict, str(root)) == [
        "failed: PS101 client per request at shop/prices.py:3 in Shop.price"
    ]


def test_a_line_is_named_once_for_all_its_servers(tmp_path: Path) -> None:
    root = project(tmp_path)
    servers = [finding(root, origin=f"http://host{number}.test") for number in range(3)]
    verdict = gate(root).judge(servers, [line(root)])
    assert sentences(verdict, str(root)) == [
        "failed: PS101 client per request at shop/prices.py:3 in Shop.price (3 servers)"
    ]


def test_two_habits_on_one_line_are_not_two_servers(tmp_path: Path) -> None:
    root = project(tmp_path)
    sdks = [
        finding(root, sdk_call_site=CallSite("/x/site-packages/sdk.py", number, "call")) for number in (1, 2)
    ]
    (said,) = sentences(gate(root).judge(sdks, [line(root)]), str(root))
    assert said == "failed: PS101 client per request at shop/prices.py:3 in Shop.price"


@pytest.mark.parametrize(
    ("comment", "table", "options"),
    [
        ("  # poolscope: ignore[PS101]", "", {}),
        ("", 'ignore = ["PS101:shop/*"]', {}),
        ("", "", {"ignore": ["PS101@*.partner.example"]}),
    ],
    ids=["on the line", "in pyproject.toml", "by argument"],
)
def test_it_can_be_ignored_in_three_places(
    tmp_path: Path, comment: str, table: str, options: dict[str, Any]
) -> None:
    root = project(tmp_path, comment, table)
    judge = gate(root, **options)
    verdict = judge.judge([finding(root)], [line(root)])
    assert not verdict.failing
    assert (verdict.ignored, verdict.unused) == (1, [])
    assert not judge.shows(finding(root))
    assert sentences(verdict, str(root)) == ["1 finding ignored"]


def test_an_ignore_covers_no_other_code(tmp_path: Path) -> None:
    root = project(tmp_path, "  # poolscope: ignore[PS103]")
    assert gate(root).judge([finding(root)], [line(root)]).failing


def test_an_unneeded_ignore_is_named_only_if_the_run_reached_its_line(tmp_path: Path) -> None:
    root = project(tmp_path, "  # poolscope: ignore[PS101]", 'ignore = ["PS101:shop/*"]')
    assert gate(root).judge([], []).unused == []
    assert gate(root).judge([], [line(root, 1)]).unused == [
        f"{root / 'pyproject.toml'} [tool.poolscope] ignore[0] 'PS101:shop/*' is no longer needed"
    ]
    assert gate(root).judge([], [line(root)]).unused == [
        "shop/prices.py:3: # poolscope: ignore[PS101] is no longer needed",
        f"{root / 'pyproject.toml'} [tool.poolscope] ignore[0] 'PS101:shop/*' is no longer needed",
    ]


def test_an_ignore_in_a_file_with_such_a_finding_may_be_needed(tmp_path: Path) -> None:
    root = project(tmp_path, "  # poolscope: ignore[PS101]")
    at_another_line = finding(call_site=line(root, 1))
    assert gate(root).judge([at_another_line], [line(root), line(root, 1)]).unused == []


def test_an_ignore_without_a_path_is_never_called_unneeded(tmp_path: Path) -> None:
    root = project(tmp_path, table='ignore = ["PS106@*.partner.example"]')
    assert gate(root).judge([], [line(root)]).unused == []


def test_an_invalid_comment_is_an_error_with_its_place(tmp_path: Path) -> None:
    root = project(tmp_path, "  # poolscope: ignore[PS999]")
    verdict = gate(root).judge([finding(root)], [line(root)])
    assert len(verdict.errors) == 1
    assert f"{root / WHERE.file}:3" in verdict.errors[0]
    assert verdict.failing, "and it ignores nothing"


def test_what_the_baseline_lists_is_accepted_until_it_changes(tmp_path: Path) -> None:
    root = project(tmp_path, table='baseline = "known.json"')
    baseline.write(str(root / "known.json"), [Fingerprint.of(finding(root), str(root))])
    verdict = gate(root).judge([finding(root), finding(root, kind="httpx.get")], [line(root)])
    assert verdict.accepted == 1
    assert [failing.kind for failing in verdict.failing] == ["httpx.get"]


def test_a_new_baseline_keeps_the_old_entries_and_adds_the_current_ones(tmp_path: Path) -> None:
    root = project(tmp_path, table='ignore = ["PS106"]')
    known = str(root / "known.json")
    baseline.write(known, [Fingerprint.of(finding(root), str(root))])
    seen = [finding(root), finding(root, code="PS103"), finding(root, code="PS106")]
    verdict = gate(root, write_baseline=known, baseline=known).judge(seen, [])
    assert not verdict.failing
    assert {entry.code for entry in baseline.read(known)} == {"PS101", "PS103"}
    assert not gate(root, fail_on="any", baseline=known).judge(seen, []).failing


@pytest.mark.parametrize("options", [{"fail_on": "PS9"}, {"ignore": ["PS9"]}, {"baseline": "nowhere.json"}])
def test_an_invalid_option_raises(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        gate(project(tmp_path), **options)
