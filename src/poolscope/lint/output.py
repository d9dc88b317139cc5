"""Hints in the formats that people and reviews read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from poolscope import __version__
from poolscope.lint.findings import PROOF
from poolscope.lint.formats import HintFormat
from poolscope.recording import folder
from poolscope.records import Finding
from poolscope.reports import github, gitlab, sarif
from poolscope.reports.annotations import Annotation
from poolscope.reports.printable import page, printable_json
from poolscope.reports.words import count

VERSION: Final = 1
"""The version of the JSON: raised when a key is removed or changes its meaning."""
KEYS: Final = ("code", "title", "severity", "kind", "call_site", "sentence", "fix")
NEXT: Final = (
    "A run proves it: poolscope run --fail-on PS101 SCRIPT, or pytest --poolscope-fail-on=PS101; "
    "poolscope explain PS101 says what it costs."
)


def render(
    format_: HintFormat, findings: Sequence[Finding], files: int, unread: Sequence[str], root: str
) -> str:
    """The hints in one of the formats."""
    annotations = [Annotation(finding, "") for finding in findings]
    if format_ == "json":
        return as_json(findings, unread)
    if format_ == "sarif":
        return sarif.render(annotations, root, __version__, run="poolscope-lint/")
    if format_ == "github":
        return github.render(annotations, root)
    if format_ == "gitlab":
        return gitlab.render(annotations, root)
    return text(findings, files)


def text(findings: Sequence[Finding], files: int) -> str:
    """``shop.py:12: PS101 …``, with the fix below, and at the end how to prove it."""
    lines = [line for finding in findings for line in _hint(finding)]
    total = f"{count(len(findings), 'hint')} in {count(files, 'file')}."
    return page([*lines, f"{total} {NEXT}" if findings else total])


def _hint(finding: Finding) -> list[str]:
    site = finding.call_site
    assert site is not None
    sentence = finding.sentence.removesuffix(PROOF).rstrip()
    return [f"{_shown(site.file)}:{site.line}: {finding.code} {sentence}", f"    Fix: {finding.fix}"]


def _shown(file: str) -> str:
    """The path as one would type it here."""
    here = os.path.join(folder.current(), "")
    return file.removeprefix(here)


def as_json(findings: Sequence[Finding], unread: Sequence[str]) -> str:
    """One object, for programs."""
    report = {
        "version": VERSION,
        "hints": [_entry(finding) for finding in findings],
        "not_read": list(unread),
    }
    return printable_json(json.dumps(report, indent=2, ensure_ascii=False)) + "\n"


def _entry(finding: Finding) -> dict[str, Any]:
    known = asdict(finding)
    return {key: known[key] for key in KEYS}
