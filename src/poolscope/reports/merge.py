"""Findings of several processes as one: per code, origin and line."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, NamedTuple

from poolscope.findings import RULES
from poolscope.findings.parts import added
from poolscope.records import CallSite, Finding

PLURALS: Final = {" request": " requests", " retry": " retries"}
"""The nouns that a finding counts one of; added up, there are several."""

_ADD_UP: Final = frozenset(rule.code for rule in RULES if rule.adds_up)


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
    # The longest fix says the most (how large a pool).
    worded = max(findings, key=lambda finding: (len(finding.fix), finding.count))
    finding = replace(
        worded,
        count=sum(finding.count for finding in findings),
        cost=sum(costs) if costs else None,
        saving=max(savings) if savings else None,
        severity="warning" if any(finding.severity == "warning" for finding in findings) else "info",
        at_least=any(finding.at_least for finding in findings),
        parts=added(finding.parts for finding in findings),
        notes=_notes([worded, *findings], processes),
        sentence=_sentence(findings, worded, processes),
    )
    return Merged(finding, processes)


def _sentence(findings: list[Finding], worded: Finding, processes: int) -> str:
    """One for all if they say the same of their counts; else that of one process, and the count of all."""
    times = sum(finding.count for finding in findings)
    said = {_counting(finding, times) for finding in findings}
    over = f" in {processes:,} processes" if processes > 1 else ""
    if worded.code in _ADD_UP and len(said) == 1:
        return f"{said.pop().removesuffix('.')}{over and ','}{over}."
    return f"{times:,} times{over}. {_example(processes)}: {worded.sentence}"


def _counting(finding: Finding, times: int) -> str:
    """Its sentence, with another count."""
    return re.sub(
        rf"(?<![\w.]){finding.count:,}(?:(?P<noun> request| retry)\b|(?![\w.]))",
        lambda counted: f"{times:,}{PLURALS.get(counted['noun'], '')}",
        finding.sentence,
        count=1,
    )


def _example(processes: int) -> str:
    return "In one of them" if processes > 1 else "For example"


def _notes(findings: list[Finding], processes: int) -> list[str]:
    """The notes of all, and what else to do where the fix differs; numbers are those of one process."""
    apart: dict[str, str] = {}
    for finding in findings:
        others = [] if _shape(finding.fix) in _shape(findings[0].fix) else [f"Another fix: {finding.fix}"]
        for note in (*finding.notes, *others):
            shape = _shape(note)
            apart.setdefault(shape, note if shape == note else f"{_example(processes)}: {note}")
    return list(apart.values())


def _shape(text: str) -> str:
    """The text without its numbers."""
    return re.sub(r"\d[\d,.]*", "…", text)
