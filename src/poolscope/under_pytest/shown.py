"""A finding as a test showed it: sent from the process that ran the test to the process that reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from poolscope.records import CallSite, Finding, from_json, to_json
from poolscope.reports import text
from poolscope.reports.merge import merged
from poolscope.reports.overview import Overview

COLUMNS: Final = 79
"""Width of lanes in the summary: most logs of CI are no wider."""
Key = tuple[str, str | None, CallSite | None, CallSite | None]


@dataclass(slots=True, frozen=True)
class Shown:
    """One finding and the test that showed it."""

    finding: Finding
    words: str
    """Its lines of the report."""
    lanes: str
    test: str | None
    """None if it took several tests."""

    @property
    def key(self) -> Key:
        """Equal for the same habit in another test, even if its server has another port."""
        return key_of(self.finding)

    def to_plain(self) -> dict[str, Any]:
        """Plain values, which a report or a worker of pytest-xdist can carry."""
        return {
            "finding": to_json(self.finding), "words": self.words, "lanes": self.lanes, "test": self.test,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Shown:
        """The reverse of `to_plain`."""
        finding = from_json(plain["finding"])
        assert isinstance(finding, Finding)
        return cls(finding, plain["words"], plain["lanes"], plain["test"])


def key_of(finding: Finding) -> Key:
    """What distinguishes one habit from another in a session."""
    return finding.code, finding.kind, finding.call_site, finding.sdk_call_site


def shown_in(overview: Overview, test: str | None, but: Iterable[Key] = ()) -> list[Shown]:
    """The findings of an overview, without known ones."""
    known = set(but)
    findings = [one.finding for one in merged(overview.found())]
    return [
        Shown(finding, text.words(overview, finding, COLUMNS), text.lanes(overview, finding, COLUMNS), test)
        for finding in findings
        if key_of(finding) not in known
    ]
