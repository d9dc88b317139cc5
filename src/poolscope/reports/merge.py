"""Findings as one: those of several processes, and those of one line with several servers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from poolscope.findings import RULES
from poolscope.findings.parts import added
from poolscope.records import CallSite, Finding
from poolscope.reports.words import count

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
    return _sorted(_together(same) for same in together.values())


def by_line(found: list[Merged]) -> list[Merged]:
    """Of the findings of one line that differ in their server only, one: a report says the same once."""
    together: dict[object, list[Merged]] = {}
    for one in found:
        finding = one.finding
        site = (finding.call_site, finding.sdk_call_site)
        where = site if any(site) else (finding.origin,)
        together.setdefault((finding.code, finding.kind, *where, _shape(finding.fix)), []).append(one)
    return _sorted(same[0] if len(same) == 1 else _of_all_servers(same) for same in together.values())


def _sorted(found: Iterable[Merged]) -> list[Merged]:
    return sorted(found, key=lambda one: (one.finding.severity == "info", -(one.finding.cost or 0.0)))


def _of_all_servers(same: list[Merged]) -> Merged:
    """In the words of the most expensive, with the largest numbers to set."""
    findings, processes = [one.finding for one in same], max(one.processes for one in same)
    most = findings[0]
    times = sum(finding.count for finding in findings)
    savings = [finding.saving for finding in findings if finding.saving is not None]
    if all(finding.line_servers == len(same) and finding.line_saving is not None for finding in findings):
        savings = [finding.line_saving for finding in findings if finding.line_saving is not None]
    finding = replace(
        most,
        origin=None,
        count=times,
        cost=_sum(finding.cost for finding in findings),
        saving=max(savings, default=None),
        at_least=any(finding.at_least for finding in findings),
        parts=added(finding.parts for finding in findings),
        fix=max((finding.fix for finding in findings), key=_numbers),
        notes=_notes(findings, processes),
        sentence=f"{most.sentence} {_elsewhere(len(same) - 1)}: {times:,} times in all.",
    )
    return Merged(finding, processes)


def _elsewhere(servers: int) -> str:
    return f"The same with {count(servers, 'other server')}"


def _sum(costs: Iterable[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def _together(findings: list[Finding]) -> Merged:
    processes = len({finding.pid for finding in findings})
    if len(findings) == 1:
        return Merged(findings[0], processes)
    savings = [finding.saving for finding in findings if finding.saving is not None]
    # The longest fix says the most (how large a pool).
    worded = max(findings, key=lambda finding: (len(finding.fix), finding.count))
    finding = replace(
        worded,
        count=sum(finding.count for finding in findings),
        cost=_sum(finding.cost for finding in findings),
        saving=max(savings, default=None),
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
