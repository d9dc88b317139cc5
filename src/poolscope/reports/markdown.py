"""Findings as Markdown: for the summary of a job, or a comment, where the lanes keep their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolscope.findings.fingerprint import path_from
from poolscope.reports.annotations import Annotation, annotating
from poolscope.reports.printable import page, printable
from poolscope.reports.renderer import Look, Renderer, Write


def renderer(write: Write, look: Look) -> Renderer:
    """The summary, as one of the formats."""
    return annotating(write, look, render)


def render(annotations: Sequence[Annotation], root: str) -> str:
    """A title and a block of plain text for each finding."""
    return "\n".join(_section(one, root) for one in annotations) or "poolscope has no findings.\n"


def _section(one: Annotation, root: str) -> str:
    title = f"### {one.finding.code} {one.finding.title}"
    where = (
        []
        if one.site is None
        else [f"{path_from(root, one.site.file)}:{one.site.line} in {one.site.function}", ""]
    )
    text = page([*where, *one.lines()])
    # Names may come from anybody: nothing in them may end the block.
    fence = "`" * (1 + max([2, *(len(ticks) for ticks in re.findall("`+", text))]))
    return f"{printable(title)}\n\n{fence}text\n{text}{fence}\n"
