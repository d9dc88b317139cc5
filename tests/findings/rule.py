"""Helpers for the tests of one rule."""

from __future__ import annotations

from poolscope.findings import find
from poolscope.records import Finding
from tests.reports.stories import Story


def found(code: str, story: Story) -> list[Finding]:
    """The findings of one code in a story."""
    return [finding for finding in find(story.records) if finding.code == code]


def count(code: str, story: Story) -> int | None:
    """The count of the one finding of that code; None if there is none."""
    findings = found(code, story)
    assert len(findings) < 2
    return findings[0].count if findings else None
