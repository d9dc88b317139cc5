"""The report as JSON, for programs: the same sums as the text, with stable keys."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

from poolscope.records import CallSite, Exchange, Finding
from poolscope.reports.lanes import Lane, LaneSample
from poolscope.reports.merge import merged
from poolscope.reports.overview import Overview
from poolscope.reports.printable import printable_json
from poolscope.reports.renderer import Look, Renderer, SummaryRenderer, Write
from poolscope.reports.routes import RouteSums
from poolscope.reports.tally import Row, Tally
from poolscope.reports.whole_run import notes

VERSION: Final = 1
"""Raised when a key is removed or changes its meaning; new keys may come at any time."""
LANES: Final = 20
IN_PROGRESS: Final = 100
"""Requests in progress that are listed."""


def renderer(write: Write, look: Look) -> Renderer:
    """The report for programs, as one of the formats."""
    return SummaryRenderer(write, look, render)


def render(overview: Overview) -> str:
    """One JSON object, ending in a newline. Times in seconds; null where nothing was observed."""
    tallies, lanes = overview.all_connections(), overview.all_lanes()
    rows = overview.rows()
    origins: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        origins.setdefault(row.origin, []).append(_row(row, tallies[row], lanes[row]))
    report = {
        "version": VERSION,
        "processes": [_process(overview, pid) for pid in overview.headers],
        "totals": _totals(overview, rows, tallies),
        "origins": [{"origin": origin, "clients": clients} for origin, clients in origins.items()],
        "routes": [_route(sums) for sums in overview.routes.all()],
        "findings": [_finding(one.finding, one.processes) for one in merged(overview.findings())],
        "not_seen": notes(overview),
    }
    return printable_json(json.dumps(report, indent=2, ensure_ascii=False)) + "\n"


def _route(sums: RouteSums) -> dict[str, Any]:
    return {
        "route": sums.route,
        "served": sums.served,
        "requests": sums.requests,
        "reused": sums.reused,
        "connections_opened": sums.opened,
        "setup_time": sums.setup,
        "wait_time": sums.waited,
        "request_time": sums.took,
    }


def _process(overview: Overview, pid: int) -> dict[str, Any]:
    header, summary = overview.headers[pid], overview.summaries.get(pid)
    return {
        "pid": pid,
        "parent": header.parent,
        "program": header.program,
        "python": header.python,
        "libraries": dict(sorted(header.libraries.items())),
        "wall_time": summary and summary.wall_time,
        "exit_code": summary and summary.exit_code,
        "facts_dropped": summary and summary.facts_dropped,
        "hooks_disabled": summary and summary.hooks_disabled,
        "children_not_followed": summary and summary.children_not_followed,
    }


def _totals(overview: Overview, rows: list[Row], tallies: dict[Row, Tally]) -> dict[str, Any]:
    together = Tally()
    for tally in tallies.values():
        together.merge(tally)
    return {
        "clients": overview.clients,
        "clients_unused": overview.clients_unused,
        "construction_time": overview.construction,
        "requests": sum(row.requests for row in rows),
        "reused": sum(row.reused for row in rows),
        "reuse_ratio": _ratio(sum(row.reused for row in rows), sum(row.kept for row in rows)),
        "connections_still_open": overview.still_open,
        "in_progress": [_waiting(record) for record in overview.in_progress()[:IN_PROGRESS]],
        "requests_in_progress": len(overview.in_progress()),
        **_connections(together),
    }


def _waiting(record: Exchange) -> dict[str, Any]:
    return {
        "method": record.method,
        "url": record.url,
        "state": record.state,
        "connection": record.connection,
        "started_at": record.started_at,
        "call_site": _call_site(record.call_site),
    }


def _row(row: Row, tally: Tally, lanes: LaneSample) -> dict[str, Any]:
    return {
        "kind": row.site.kind,
        "call_site": _call_site(row.site.call_site),
        "sdk_call_site": _call_site(row.site.sdk_call_site),
        "clients": row.clients,
        "construction_time": row.construction,
        "limits": row.limits and row.limits._asdict(),
        "requests": row.requests,
        "reused": row.reused,
        "joined": row.joined,
        "reuse_ratio": _ratio(row.reused, row.kept),
        "without_connection": row.unconnected,
        "errors": dict(sorted(row.errors.items())),
        "bad_statuses": {str(status): number for status, number in sorted(row.statuses.items()) if number},
        "retries": row.retries,
        "sent_by": [
            {"trouble": trouble.what, "call_site": _call_site(trouble.call_site), "requests": number}
            for trouble, number in row.troubles.most_common()
        ],
        "waited": {
            "requests": row.waited,
            "for_stream": row.waited_for_stream,
            "time": row.wait_time,
            "longest": row.slowest_wait,
        },
        "assignments_lost": row.lost,
        **_connections(tally),
        "lanes": {"of": lanes.seen, "shown": [_lane(lane) for lane in lanes.chosen(LANES)]},
    }


def _connections(tally: Tally) -> dict[str, Any]:
    return {
        "connections": {
            "opened": tally.opened,
            "failed": tally.failed,
            "open_before": tally.unseen,
            "inherited": tally.inherited,
        },
        "failed_phases": dict(sorted(tally.failed_phases.items())),
        "setup_time": tally.setup_total,
        "setup_phases": dict(sorted(tally.setup.items())),
        "setup_busy": dict(sorted(tally.busy.items())),
        "closing_time": tally.closing,
        "close_reasons": dict(sorted(tally.closes.items())),
        "closed_by": dict(sorted(tally.closed_by.items())),
    }


def _lane(lane: Lane) -> dict[str, Any]:
    connection = lane.connection
    return {
        "pid": connection.pid,
        "connection": connection.id,
        "setup_started_at": connection.setup_started_at,
        "opened_at": connection.opened_at,
        "setup": {phase: dataclasses.asdict(part) for phase, part in connection.setup.items()},
        "failed_phase": connection.failed_phase,
        "requests": lane.seen,
        "first_requests": [bar._asdict() for bar in lane.bars],
        "last_requests": [bar._asdict() for bar in lane.newest or ()],
        "closed_at": connection.closed_at,
        "close_reason": connection.close_reason,
        "closed_by": connection.closed_by,
    }


def _finding(finding: Finding, processes: int) -> dict[str, Any]:
    return {
        "code": finding.code,
        "title": finding.title,
        "origin": finding.origin,
        "call_site": _call_site(finding.call_site),
        "sdk_call_site": _call_site(finding.sdk_call_site),
        "severity": finding.severity,
        "kind": finding.kind,
        "count": finding.count,
        "processes": processes,
        "cost": finding.cost,
        "parts": finding.parts,
        "saving": finding.saving,
        "at_least": finding.at_least,
        "sentence": finding.sentence,
        "notes": finding.notes,
        "fix": finding.fix,
    }


def _call_site(site: CallSite | None) -> dict[str, Any] | None:
    return None if site is None else dataclasses.asdict(site)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
