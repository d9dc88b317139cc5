"""Findings for review tools: each with the text that a reviewer reads beside the line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from poolscope.records import CallSite, Finding
from poolscope.reports.merge import by_line, merged
from poolscope.reports.overview import Overview
from poolscope.reports.printable import printable
from poolscope.reports.renderer import Look, Renderer, SummaryRenderer, Write

COLUMNS: Final = 100


class Annotation(NamedTuple):
    """A finding, with the numbers and lanes of its connections."""

    finding: Finding
    lanes: str

    @property
    def site(self) -> CallSite | None:
        """The line to put it beside; None where there is no file, as for ``python -c``."""
        return self.line if self.line is not None and self.line.has_file else None

    @property
    def line(self) -> CallSite | None:
        """The line, in a file or not."""
        return self.finding.call_site or self.finding.sdk_call_site

    def lines(self) -> list[str]:
        """What happened and what to change first: some places show only the beginning."""
        finding = self.finding
        beginning = [printable(text) for text in (*self._where(), finding.sentence, f"Fix: {finding.fix}")]
        return [*beginning, "", *(printable(line) for line in self.lanes.splitlines())]

    def _where(self) -> list[str]:
        """The line in words, where no file can be named."""
        if self.line is None or self.site is not None:
            return []
        return [f"{self.line.at()} in {self.line.function}:"]


def annotations_of(overview: Overview) -> list[Annotation]:
    """The annotations of a run, the most expensive finding first."""
    from poolscope.reports.text import lanes

    return [
        Annotation(one.finding, lanes(overview, one.finding, COLUMNS))
        for one in by_line(merged(overview.findings()))
    ]


def annotating(write: Write, look: Look, render: Callable[[Sequence[Annotation], str], str]) -> Renderer:
    """A format that is made of the annotations, with paths from the project's root."""
    return SummaryRenderer(write, look, lambda overview: render(annotations_of(overview), look.root))


def placed(annotations: Sequence[Annotation]) -> list[Annotation]:
    """The annotations with a line; a review has no place for the others."""
    return [one for one in annotations if one.site is not None]
