"""Findings as workflow commands, which GitHub shows beside the lines of a pull request.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from poolscope.findings.fingerprint import path_from
from poolscope.records import Severity
from poolscope.reports.annotations import Annotation, annotating
from poolscope.reports.printable import printable
from poolscope.reports.renderer import Look, Renderer, Write

COMMANDS: Final[dict[Severity, str]] = {"warning": "warning", "info": "notice"}
_DATA: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def renderer(write: Write, look: Look) -> Renderer:
    """Annotations, as one of the formats."""
    return annotating(write, look, render)


def render(annotations: Sequence[Annotation], root: str) -> str:
    """One command a line; a finding without a line of code is about the whole run."""
    return "".join(f"{_command(one, root)}\n" for one in annotations)


def _command(one: Annotation, root: str) -> str:
    site, finding = one.site, one.finding
    properties = {"title": f"{finding.code} {finding.title}"}
    if site is not None:
        properties = {"file": path_from(root, site.file), "line": str(site.line), **properties}
    listed = ",".join(f"{name}={printable(value).translate(_PROPERTY)}" for name, value in properties.items())
    message = "\n".join(one.lines()).translate(_DATA)
    return f"::{COMMANDS[finding.severity]} {listed}::{message}"
