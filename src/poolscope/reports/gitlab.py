"""Findings as a Code Quality report, which GitLab shows beside the lines of a merge request.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from poolscope.findings.fingerprint import Fingerprint, path_from
from poolscope.records import Severity
from poolscope.reports.annotations import Annotation, annotating, placed
from poolscope.reports.printable import printable_json
from poolscope.reports.renderer import Look, Renderer, Write

SEVERITIES: Final[dict[Severity, str]] = {"warning": "major", "info": "info"}


def renderer(write: Write, look: Look) -> Renderer:
    """The report, as one of the formats."""
    return annotating(write, look, render)


def render(annotations: Sequence[Annotation], root: str) -> str:
    """A list of findings that have a line, each fingerprint once: GitLab has no place for the others."""
    entries = [_entry(one, root) for one in placed(annotations)]
    largest_last = {entry["fingerprint"]: entry for entry in reversed(entries)}
    listed = list(reversed(largest_last.values()))
    return printable_json(json.dumps(listed, indent=2, ensure_ascii=False)) + "\n"


def _entry(one: Annotation, root: str) -> dict[str, Any]:
    site, finding = one.site, one.finding
    assert site is not None
    return {
        "check_name": finding.code,
        "description": f"{finding.code} {finding.title}: {finding.sentence} Fix: {finding.fix}",
        "content": {"body": "\n".join(one.lines())},
        "categories": ["Performance"],
        "severity": SEVERITIES[finding.severity],
        "fingerprint": Fingerprint.of(finding, root).digest(),
        "location": {"path": path_from(root, site.file), "lines": {"begin": max(1, site.line)}},
    }
