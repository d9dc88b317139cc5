"""Findings of several processes as one: per code, origin and line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, NamedTuple

from poolscope.findings.churn import added
from poolscope.records import CallSite, Finding

PLURALS: Final = {" request": " requests", " retry": " retries"}
"""The nouns that a finding counts one of; added up, there are several."""


class Merged(NamedTuple):
    """A finding, merged over the processes that have the habit."""

    finding: Finding
    """Count and cost are sums over all; the saving is that of one process, because they run side by side."""
    processes: int


def merged(findings: list[Finding]) -> list[Merged]:
    """One finding per code, origin and line: warnings first, and of each kind the most expensive first."""
    together: dict[tuple[str, str | None, CallSite | None, CallSite | None], list[Finding]] = {}
    for finding in findings:
        key = (finding.code, finding.origin, finding.call_site, finding.sdk_call_site)
        together.setdefault(key, []).append(finding)
    found = [_together(same) for same in together.values()]
    return sorted(found, key=lambda one: (one.finding.severity == "info", -(one.finding.cost or 0.0)))


def _together(findings: list[Finding]) -> Merged:
    processes = len({finding.pid for finding in findings})
    if len(findings) == 1:
        return Merged(findings[0], processes)
    costs = [finding.cost for finding in findings if finding.cost is not None]
    savings = [finding.saving for finding in findings if finding.saving is not None]
    # The longest sentence and fix say the most ("1 or 2 requests", and how large a pool).
    worded = max(findings, key=lambda finding: len(finding.sentence))
    times = sum(finding.count for finding in findings)
    sentence = re.sub(
        rf"(?<![\w.]){worded.count:,}(?:(?P<noun> request| retry)\b|(?![\w.]))",
        lambda counted: f"{times:,}{PLURALS.get(counted['noun'], '')}",
        worded.sentence,
        count=1,
    )
    finding = replace(
        worded,
        count=times,
        cost=sum(costs) if costs else None,
        saving=max(savings) if savings else None,
        severity="warning" if any(finding.severity == "warning" for finding in findings) else "info",
        at_least=any(finding.at_least for finding in findings),
        parts=added(finding.parts for finding in findings),
        notes=list(dict.fromkeys(note for finding in findings for note in finding.notes)),
        fix=max((finding.fix for finding in findings), key=len),
        sentence=f"{sentence.removesuffix('.')}, in {processes:,} processes.",
    )
    return Merged(finding, processes)
