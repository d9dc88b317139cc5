"""Findings for the tools of a review: each with the text that a reviewer reads beside the line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from poolscope.records import CallSite, Finding
from poolscope.reports.merging import merged
from poolscope.reports.picture import Picture
from poolscope.reports.printable import printable

COLUMNS: Final = 100


class Told(NamedTuple):
    """A finding, and the numbers and lanes of the connections that it is about."""

    finding: Finding
    lanes: str

    @property
    def site(self) -> CallSite | None:
        """The line to put it beside; None where there is no file, as for ``python -c``."""
        site = self.finding.call_site or self.finding.sdk_call_site
        return None if site is None or site.file.startswith("<") else site

    def lines(self) -> list[str]:
        """What happened and what to change first: some places show only the beginning."""
        finding = self.finding
        beginning = [printable(text) for text in (finding.sentence, f"Fix: {finding.fix}")]
        return [*beginning, "", *(printable(line) for line in self.lanes.splitlines())]


def told_of(picture: Picture) -> list[Told]:
    """Those of a run, the dearest first."""
    return list(_told(picture))


def _told(picture: Picture) -> Iterator[Told]:
    from poolscope.reports.text import lanes

    for one in merged(picture.findings()):
        yield Told(one.finding, lanes(picture, one.finding, COLUMNS))


def placed(told: Sequence[Told]) -> list[Told]:
    """Those that have a line: no review has a place for the others."""
    return [one for one in told if one.site is not None]
