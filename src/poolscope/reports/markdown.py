"""Findings as Markdown: for the summary of a job, or a comment, where the lanes keep their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolscope.findings.fingerprint import path_from
from poolscope.reports.picture import Picture
from poolscope.reports.printable import page, printable
from poolscope.reports.renderer import Look, Renderer, Summing, Write
from poolscope.reports.told import Told, told_of


def renderer(write: Write, look: Look) -> Renderer:
    """The summary, as one of the formats."""

    def whole(picture: Picture) -> str:
        return render(told_of(picture), look.root)

    return Summing(write, look, whole)


def render(told: Sequence[Told], root: str) -> str:
    """A title and a block of plain text for each finding."""
    return "\n".join(_section(one, root) for one in told) or "poolscope has no findings.\n"


def _section(one: Told, root: str) -> str:
    title = f"### {one.finding.code} {one.finding.title}"
    where = (
        []
        if one.site is None
        else [f"{path_from(root, one.site.file)}:{one.site.line} in {one.site.function}", ""]
    )
    text = page([*where, *one.lines()])
    # Names come from anybody: nothing in them may end the block.
    fence = "`" * (1 + max([2, *(len(ticks) for ticks in re.findall("`+", text))]))
    return f"{printable(title)}\n\n{fence}text\n{text}{fence}\n"
