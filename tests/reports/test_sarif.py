"""SARIF and GitHub's annotations: what a review shows beside the line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from poolscope.findings import RULES
from poolscope.findings.fingerprint import Fingerprint
from poolscope.records import CallSite, Finding
from poolscope.reports import github, gitlab, markdown, sarif
from poolscope.reports.annotations import Annotation
from poolscope.reports.renderer import Look, renderer
from tests.reports.stories import LINE, Story

SCHEMA = json.loads(Path(__file__).with_name("sarif.schema.json").read_text("utf-8"))
ROOT = "/srv/.../app"
SDK = CallSite("/env/lib/python3.11/site-packages/sdk/client.py", 40, "Api.call")
LANES = "    #1 ━━━━████·· setup 1.5ms"
VALIDATOR = "@microsoft/sarif-multitool-linux@5.7.0"


def story() -> Story:
    annotations = Story()
    annotations.header()
    for _ in range(4):
        annotations.throwaway()
    annotations.now += 1.0
    annotations.summary()
    return annotations


def rendered(form: Any, **look: Any) -> str:
    pieces: list[str] = []
    rendering = renderer(form, pieces.append, Look(root=ROOT, **look))
    for record in story().records:
        rendering.add(record)
    rendering.finish()
    return "".join(pieces)


def finding(**changes: Any) -> Finding:
    (found,) = [one for one in _found() if one.code == "PS101"]
    return replace(found, **changes)


def _found() -> list[Finding]:
    from poolscope.findings import find

    return find(story().records)


def log(*findings: Finding) -> dict[str, Any]:
    annotations = [Annotation(one, LANES) for one in findings]
    written: dict[str, Any] = json.loads(sarif.render(annotations, ROOT, "0.1.0"))
    jsonschema.Draft202012Validator(SCHEMA).validate(written)
    return written


ODD: dict[str, dict[str, Any]] = {
    "plain": {},
    "information": {"severity": "info"},
    "through a package": {"sdk_call_site": SDK},
    "in a package only": {"call_site": None, "sdk_call_site": SDK},
    "outside of the project": {"call_site": replace(LINE, file="/usr/share/tool/main.py")},
    "an odd name": {"call_site": replace(LINE, file=f"{ROOT}/a b%20ü\udcff\n.py")},
    "control characters": {"sentence": "\x1b[31m red \u202e turned", "fix": "a\r\nb"},
    "nothing known": {"cost": None, "saving": None, "kind": None},
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
def test_every_finding_is_a_result_by_the_schema(changes: dict[str, Any]) -> None:
    (result,) = log(finding(**changes))["runs"][0]["results"]
    assert result["ruleId"] == "PS101"
    assert result["level"] == ("note" if changes.get("severity") == "info" else "warning")


def test_a_result_has_the_line_the_sentence_the_fix_and_the_lanes() -> None:
    (result,) = json.loads(rendered("sarif"))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "load.py", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": LINE.line}
    lines = result["message"]["text"].split("\n")
    assert lines[0].startswith("httpx.Client was built 4 times")
    assert lines[1].startswith("Fix: Create one httpx.Client")
    assert any("━" in line for line in lines)
    assert result["partialFingerprints"] == {"poolscope/v1": Fingerprint.of(finding(), ROOT).digest()}


def test_every_rule_is_described_by_its_page() -> None:
    rules = log()["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [rule.code for rule in RULES]
    assert all(rule["help"]["markdown"].startswith(f"# {rule['id']} ") for rule in rules)


def test_a_page_that_is_not_there_costs_only_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poolscope.findings.pages.PLACES", ())
    rules = log()["runs"][0]["tool"]["driver"]["rules"]
    assert all(rule["help"]["markdown"] == rule["fullDescription"]["text"] for rule in rules)


@pytest.mark.parametrize("site", [None, CallSite("<string>", 1, "<module>")], ids=["no line", "no file"])
def test_a_finding_without_a_line_is_a_notification_and_not_lost(site: CallSite | None) -> None:
    run = log(finding(call_site=site))["runs"][0]
    assert run["results"] == []
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "PS101 client per request" in notification["message"]["text"]


@pytest.mark.parametrize("form", ["sarif", "github"])
def test_ignored_findings_are_left_out(form: str) -> None:
    assert "4 times" in rendered(form)
    assert "4 times" not in rendered(form, shows=lambda finding: finding.code != "PS101")


def test_the_schema_refuses_what_github_refuses() -> None:
    for broken in ("message", "locations", "partialFingerprints"):
        written = log(finding())
        del written["runs"][0]["results"][0][broken]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate(written)


def annotation(**changes: Any) -> str:
    (line,) = github.render([Annotation(finding(**changes), LANES)], ROOT).splitlines()
    return line


def test_an_annotation_is_one_command_with_its_line() -> None:
    line = annotation()
    assert line.startswith(
        "::warning file=load.py,line=12,title=PS101 client per request::httpx.Client was built"
    )
    assert line.endswith(f"%0A%0A{LANES}")
    assert annotation(severity="info").startswith("::notice file=")
    assert annotation(call_site=None).startswith("::warning title=PS101")


def test_nothing_in_a_finding_ends_the_command_or_begins_another() -> None:
    line = annotation(
        sentence="100 %\n::error::x\r", call_site=replace(LINE, file=f"{ROOT}/a,b:c%\n::error::.py")
    )
    head, _, message = line.removeprefix("::").partition("::")
    assert head == "warning file=a%2Cb%3Ac%25�%3A%3Aerror%3A%3A.py,line=12,title=PS101 client per request"
    assert message.startswith("100 %25�::error::x�%0AFix: ")


def test_gitlab_gets_the_costliest_finding_of_each_fingerprint_and_only_with_a_line() -> None:
    found = [finding(), finding(origin="http://other.test", sentence="Again."), finding(code="PS104")]
    annotations = [Annotation(one, LANES) for one in (*found, finding(call_site=None))]
    entries = json.loads(gitlab.render(annotations, ROOT))
    assert [entry["check_name"] for entry in entries] == ["PS101", "PS104"]
    assert "Again." not in entries[0]["description"]
    assert entries[0]["location"] == {"path": "load.py", "lines": {"begin": 12}}
    assert entries[0]["fingerprint"] == Fingerprint.of(finding(), ROOT).digest()


def test_nothing_in_a_finding_ends_the_block_of_markdown() -> None:
    written = markdown.render([Annotation(finding(sentence="a ```` b\n# c", fix="`<b>`"), LANES)], ROOT)
    lines = written.splitlines()
    assert lines[0] == "### PS101 client per request"
    assert (lines[2], lines[-1]) == ("`````text", "`````")
    assert not [line for line in lines[1:] if line.startswith("#")]
    assert LANES in lines
    assert markdown.render([], ROOT) == "poolscope has no findings.\n"


@pytest.fixture(scope="module")
def multitool() -> Iterator[list[str]]:
    """The validator, from npm; kept, because it is 100 MB."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "poolscope-npm" / VALIDATOR
    program = home / "node_modules" / VALIDATOR.rpartition("@")[0] / "Sarif.Multitool"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            str(home),
            VALIDATOR,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    program.chmod(0o755)
    yield [str(program), "validate", "--rule-kind", "Sarif;Ghas"]


def judged(multitool: list[str], path: Path) -> list[str]:
    """Ids of the rules that the validator finds violated."""
    said = path.with_suffix(".validated.sarif")
    offline = {**os.environ, "HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run(
        [*multitool, str(path), "-o", str(said), "--log", "ForceOverwrite"],
        env=offline, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert "1 files scanned" in done.stdout, done.stdout
    return [
        result["ruleId"] for result in json.loads(said.read_text("utf-8-sig"))["runs"][0].get("results", [])
    ]


@pytest.mark.validators
def test_microsofts_validator_with_githubs_rules_accepts_it(multitool: list[str], tmp_path: Path) -> None:
    path = tmp_path / "poolscope.sarif"
    annotations = [Annotation(finding(**changes), LANES) for name, changes in ODD.items()]
    path.write_text(
        sarif.render([*annotations, Annotation(finding(call_site=None), LANES)], ROOT, "0.1.0"), "utf-8"
    )
    # That rule wants `informationUri`, which only a package built for a repository has.
    assert set(judged(multitool, path)) <= {"SARIF2005"}
    path.write_text(path.read_text("utf-8").replace('"startLine": 12', '"startLine": -12'), "utf-8")
    assert set(judged(multitool, path)) > {"SARIF2005"}, "and it would have said so"
