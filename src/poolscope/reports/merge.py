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
    pids: frozenset[int]

    @property
    def processes(self) -> int:
        """How many there are."""
        return len(self.pids)


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
        alike = (finding.code, finding.kind, finding.severity, _shape(finding.fix))
        has_line = finding.call_site is not None or finding.sdk_call_site is not None
        # Without a server it is about a client, whatever that talks to.
        apart = None if has_line and finding.origin is not None else len(together)
        key = (*alike, finding.call_site, finding.sdk_call_site, apart)
        together.setdefault(key, []).append(one)
    return _sorted(same[0] if len(same) == 1 else _of_all_servers(same) for same in together.values())


def _sorted(found: Iterable[Merged]) -> list[Merged]:
    return sorted(found, key=lambda one: (one.finding.severity == "info", -(one.finding.cost or 0.0)))


def _of_all_servers(same: list[Merged]) -> Merged:
    """In the words of the most expensive, with the largest numbers to set."""
    findings, pids = [one.finding for one in same], frozenset[int]().union(*(one.pids for one in same))
    most = findings[0]
    times = sum(finding.count for finding in findings)
    origins = sorted({finding.origin for finding in findings if finding.origin is not None})
    # What the fix saves with several of them, unless some of those are left out, because they are ignored or differ.
    of_all = [finding.line_saving for finding in findings if set(finding.line_origins) <= set(origins)]
    finding = replace(
        most,
        origin=None,
        line_origins=tuple(origins),
        count=times,
        cost=_sum(finding.cost for finding in findings),
        saving=_largest([*of_all, *(finding.saving for finding in findings)]),
        at_least=any(finding.at_least for finding in findings),
        parts=added(finding.parts for finding in findings),
        fix=max((finding.fix for finding in findings), key=_numbers),
        notes=_notes(findings, len(pids)),
        sentence=f"{most.sentence} {_elsewhere(len(origins) - 1)}: {times:,} times in all.",
    )
    return Merged(finding, pids)


def _elsewhere(servers: int) -> str:
    return f"The same with {count(servers, 'other server')}"


def _sum(costs: Iterable[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def _largest(savings: Iterable[float | None]) -> float | None:
    return max((saving for saving in savings if saving is not None), default=None)


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def _together(findings: list[Finding]) -> Merged:
    pids = frozenset(finding.pid for finding in findings)
    processes = len(pids)
    if processes == len(findings) == 1:
        return Merged(findings[0], pids)
    widest = max(findings, key=lambda finding: (len(finding.line_origins), finding.line_saving or 0.0))
    # The longest fix says the most (how large a pool).
    worded = max(findings, key=lambda finding: (len(finding.fix), finding.count))
    finding = replace(
        worded,
        count=sum(finding.count for finding in findings),
        cost=_sum(finding.cost for finding in findings),
        saving=_largest(finding.saving for finding in findings),
        line_origins=widest.line_origins,
        line_saving=widest.line_saving,
        severity="warning" if any(finding.severity == "warning" for finding in findings) else "info",
        at_least=any(finding.at_least for finding in findings),
        parts=added(finding.parts for finding in findings),
        notes=_notes([worded, *findings], processes),
        sentence=_sentence(findings, worded, processes),
    )
    return Merged(finding, pids)


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
