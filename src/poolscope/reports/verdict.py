"""The report in a sentence: how often connections were reused, what the others cost, what to change."""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from typing import Final, NamedTuple

from poolscope.records import CallSite, Exchange, Finding
from poolscope.reports.lanes import Segment
from poolscope.reports.overview import Overview
from poolscope.reports.rows import Sums
from poolscope.reports.words import count, seconds, share

ELSEWHERE: Final = frozenset({"PS106", "PS112", "PS123"})
"""Findings that can only be fixed at the server or on the way to it."""
SPENT: Final = {
    "sleep": "went into sleeping between retries",
    "waiting": "went into waiting in vain",
    "pool_wait": "went into waiting for connections",
    "ca_certificates": "went into loading CA certificates",
    "addresses": "went into addresses that failed",
}
"""The words for a part of a cost; any other part went into clients and connections."""
LONG_WAIT: Final = 0.05
"""The verdict mentions waiting if all requests together waited for at least this many seconds."""
NAMED: Final = 2
"""How many of the lines to change are named."""
THROWN: Final = "went into clients and connections thrown away"
BUILT: Final = "went into building clients"


class Run(NamedTuple):
    """The subject of a verdict."""

    overview: Overview
    sums: Sums
    findings: list[Finding]
    wall_time: float | None


def verdict(run: Run) -> list[Segment]:
    """One sentence of (style, text)."""
    clauses = [_reuse(run.sums), _cost(run), *_troubles(run), _change(run)]
    first, *others = clauses
    return [first, *(segment for clause in others for segment in (("", "; "), clause)), ("", ".")]


def _reuse(sums: Sums) -> Segment:
    if not sums.requests:
        return "", "No request was made"
    if not sums.kept:
        return "bad", f"None of {count(sums.requests, 'request')} is known to have got a connection"
    joined = f", {sums.joined:,} joined a connection in setup" if sums.joined else ""
    style = "good" if sums.reused else "title"
    reused = f"{share(sums.reused, sums.kept)} of {count(sums.kept, 'request')} reused a connection"
    return style, f"{reused}{joined}"


def _cost(run: Run) -> Segment:
    lost = _lost(run.findings)
    if not lost:
        parts = seconds(run.sums.cost) + _of(run)
        return "", f"{parts} went into building clients, setup and closing"
    return "bad", " and ".join(
        f"{seconds(cost)}{_of(run)}{_each(cost, run.sums.requests)} {what}" for what, cost in lost.items()
    )


def _lost(findings: Iterable[Finding]) -> dict[str, float]:
    """The cost of the findings that are warnings: how it was lost → seconds."""
    lost: dict[str, float] = {}
    for finding in findings:
        if finding.severity == "warning":
            for part, cost in finding.parts.items():
                what = SPENT.get(part, BUILT if set(finding.parts) == {"construction"} else THROWN)
                lost[what] = lost.get(what, 0.0) + cost
    return lost


def _of(run: Run) -> str:
    side_by_side = run.overview.side_by_side()
    wall = "" if run.wall_time is None else seconds(run.wall_time)
    if side_by_side:
        return f" (summed over {side_by_side}{f'; the run took {wall}' if wall else ''})"
    return f" of {wall}" if wall else ""


def _each(cost: float, requests: int) -> str:
    return f", {seconds(cost / requests)} of each request," if requests > 1 else ""


def _troubles(run: Run) -> list[Segment]:
    waited, failed, wait = run.sums.waited, run.sums.errors, run.sums.wait_time
    going = run.overview.in_progress()
    unread = [record for record in going if record.state == "reading"]
    others = len(going) - len(unread)
    clauses = [
        (wait >= LONG_WAIT, f"{count(waited, 'request')} waited {seconds(wait)} for a connection"),
        (failed > 0, f"{count(failed, 'request')} failed"),
        (bool(unread), f"{count(len(unread), 'response')} still open{_at(unread)}"),
        (others > 0, f"{count(others, 'request')} not over"),
    ]
    return [("bad", clause) for holds, clause in clauses if holds]


def _at(records: Iterable[Exchange]) -> str:
    """The line that sent them, or the number of lines."""
    sites = {record.call_site for record in records if record.call_site is not None}
    if len(sites) > 1:
        return f", sent by {len(sites)} lines"
    return "".join(f", sent by {_short(site)}" for site in sites)


def _named(lines: Iterable[object]) -> str:
    """The lines themselves, if they are few."""
    sites = [line for line in lines if isinstance(line, CallSite)]
    return f": {', '.join(sorted(map(_short, sites)))}" if 0 < len(sites) <= NAMED else ""


def _short(site: CallSite) -> str:
    return f"{os.path.basename(site.file)}:{site.line}"


def _change(run: Run) -> Segment:
    warnings = [finding for finding in run.findings if finding.severity == "warning"]
    ours = [finding for finding in warnings if finding.code not in ELSEWHERE]
    lines = {finding.call_site or finding.sdk_call_site or finding.code for finding in ours}
    if lines:
        known = all(isinstance(line, CallSite) for line in lines)
        noun = "line" if known and not any(finding.notes for finding in ours) else "place"
        return "finding", f"{count(len(lines), noun)} to change{_named(lines)}"
    if warnings:
        return "finding", "nothing to change in the program; the change is at the server or on the way to it"
    if _troubles(run):
        return "", "no other finding"
    return "good", "nothing found that is worth a change"
