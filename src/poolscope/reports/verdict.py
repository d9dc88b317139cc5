"""The report in a sentence: how often connections were reused, what the others cost, what to change."""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from poolscope.records import CallSite, Exchange, Finding
from poolscope.reports.lanes import Segment
from poolscope.reports.merge import merged
from poolscope.reports.overview import Overview
from poolscope.reports.rows import Sums
from poolscope.reports.waiting import what
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
"""How many of the places to change, and of the statuses, are named."""
SERVER_ERROR: Final = 500
TOO_MANY: Final = 429
"""Statuses that mean trouble, unlike 404 or 304, which many programs expect."""
THROWN: Final = "went into clients and connections thrown away"
BUILT: Final = "went into building clients"
KEPT: Final = {"PS102": "went into clients that were never closed"}
"""The words for what is not thrown away, by code."""


class Run(NamedTuple):
    """The subject of a verdict."""

    overview: Overview
    sums: Sums
    findings: list[Finding]
    wall_time: float | None


def verdict(run: Run) -> list[Segment]:
    """One sentence of (style, text)."""
    clauses = [_reuse(run), _cost(run), *_troubles(run), _change(run)]
    first, *others = clauses
    return [first, *(segment for clause in others for segment in (("", "; "), clause)), ("", ".")]


def _reuse(run: Run) -> Segment:
    sums = run.sums
    if not sums.requests:
        return "", "No request was made"
    if not sums.kept:
        return "bad", _unconnected(sums)
    joined = f", {sums.joined:,} joined a connection during its setup" if sums.joined else ""
    reused = f"{share(sums.reused, sums.kept)} of {_with_a_connection(sums)}{joined}"
    if sums.reused or joined:
        return "good" if sums.reused else "title", reused
    return "title", "1 request, on a new connection" if sums.requests == 1 else f"{reused}{_one_each(run)}"


def _with_a_connection(sums: Sums) -> str:
    if sums.kept == sums.requests:
        return f"{count(sums.kept, 'request')} reused a connection"
    return f"the {count(sums.kept, 'request')} that got a connection reused one"


def _unconnected(sums: Sums) -> str:
    if sums.unconnected < sums.requests:
        return f"None of {count(sums.requests, 'request')} is known to have got a connection"
    if _all_failed(sums):
        return _all(sums.requests, "failed before it had a connection", "failed before they had a connection")
    return _all(sums.requests, "ended without a connection")


def _all(number: int, did: str, several_did: str = "") -> str:
    return f"The only request {did}" if number == 1 else f"All {number:,} requests {several_did or did}"


def _one_each(run: Run) -> str:
    """What there was one of for each request, so that no connection could be used twice."""
    servers = Counter({row.origin: 0 for row in run.overview.rows()})
    for row in run.overview.rows():
        servers[row.origin] += row.kept
    for number, noun in (
        (sum(kept == 1 for kept in servers.values()), "server"),
        (run.overview.clients - run.overview.clients_unused, "client"),
        (run.sums.connections, "connection"),
    ):
        if number == run.sums.kept:
            return f": {count(number, noun)}, one request each"
    return ""


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
                what = SPENT.get(part) or KEPT.get(finding.code) or _clients(finding)
                lost[what] = lost.get(what, 0.0) + cost
    return lost


def _clients(finding: Finding) -> str:
    return BUILT if set(finding.parts) == {"construction"} else THROWN


def _of(run: Run) -> str:
    side_by_side = run.overview.side_by_side()
    wall = "" if run.wall_time is None else seconds(run.wall_time)
    if side_by_side:
        return f" (summed over {side_by_side}{f'; the run took {wall}' if wall else ''})"
    return f" of {wall}" if wall else ""


def _each(cost: float, requests: int) -> str:
    return f", {seconds(cost / requests)} of each request," if requests > 1 else ""


def _troubles(run: Run) -> list[Segment]:
    sums, going = run.sums, run.overview.in_progress()
    failed = 0 if _all_failed(sums) else sums.errors - sums.cancelled
    unread = [record for record in going if record.state == "reading"]
    others = len(going) - len(unread)
    statuses = _bad_statuses(run.overview)
    clauses = [
        (sums.wait_time >= LONG_WAIT, _waited(sums)),
        (failed > 0, f"{count(failed, 'request')} failed"),
        (sums.cancelled > 0, f"{count(sums.cancelled, 'request was', 'requests were')} cancelled"),
        (bool(statuses), f"{count(statuses.total(), 'request')} got status {_listed(statuses)}"),
        (bool(unread), f"{count(len(unread), 'response')} still open{_at(unread)}"),
        (others > 0, f"{count(others, 'request')} not over"),
    ]
    return [("bad", clause) for holds, clause in clauses if holds]


def _all_failed(sums: Sums) -> bool:
    """Whether no request got as far as a connection."""
    return 0 < sums.requests == sums.unconnected == sums.errors - sums.cancelled


def _waited(sums: Sums) -> str:
    for_what = what(sums.waited, sums.waited_for_stream)
    if sums.waited == 1:
        return f"1 request waited {seconds(sums.wait_time)} for {for_what}"
    return (
        f"{count(sums.waited, 'request')} waited for {for_what}, {seconds(sums.wait_time)} in all"
        f" and at most {seconds(sums.slowest_wait)} each"
    )


def _bad_statuses(overview: Overview) -> Counter[int]:
    statuses: Counter[int] = Counter()
    for row in overview.rows():
        statuses.update(
            {
                status: number
                for status, number in row.statuses.items()
                if number and (status >= SERVER_ERROR or status == TOO_MANY)
            }
        )
    return statuses


def _listed(statuses: Iterable[int]) -> str:
    numbers = sorted(statuses)
    return " or ".join(map(str, numbers)) if len(numbers) <= NAMED else f"{numbers[0]} to {numbers[-1]}"


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
    return site.at(os.path.basename(site.file))


def _change(run: Run) -> Segment:
    warnings = [finding for finding in run.findings if finding.severity == "warning"]
    ours = [finding for finding in warnings if finding.code not in ELSEWHERE]
    places = {finding.call_site or finding.sdk_call_site or finding.code for finding in ours}
    if places:
        return "finding", f"{count(len(places), 'place')} to change{_named(places)}"
    if warnings:
        return "finding", "nothing to change in the program; the change is at the server or on the way to it"
    if run.findings:
        codes = ", ".join(sorted({finding.code for finding in run.findings}))
        return "", f"{count(len(run.findings), 'finding')}, for information: {codes}"
    hidden = len(merged(run.overview.found()))
    return "", f"no finding, but {hidden:,} ignored or accepted" if hidden else "no finding"
