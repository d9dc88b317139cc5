"""The page's words: the verdict, the sums of each group of lanes, the findings, what is missing."""

from __future__ import annotations

import dataclasses
import linecache
from typing import Any, Final

from poolscope.records import CallSite, Finding
from poolscope.reports.html.sample import Sample
from poolscope.reports.merge import by_line, merged
from poolscope.reports.overview import Overview
from poolscope.reports.places import OTHER, OTHER_SITE
from poolscope.reports.rows import Sums
from poolscope.reports.tally import Row, Site, Tally
from poolscope.reports.verdict import Run
from poolscope.reports.verdict import verdict as sentence
from poolscope.reports.whole_run import name, notes, process
from poolscope.reports.words import Paths

AROUND: Final = 3
"""Lines of source shown before and after a call site."""
GROUPS_WITH_SOURCE: Final = 200


def _findings(overview: Overview) -> list[Finding]:
    """The findings of all processes, the most important first."""
    return [one.finding for one in by_line(merged(overview.findings()))]


def title(overview: Overview) -> str:
    """The program's name."""
    return name(next(iter(overview.headers.values()), None))


def verdict(overview: Overview) -> str:
    """The run in a sentence, the same as in the text report."""
    rows = overview.rows()
    if not rows:
        return "No HTTP connection was opened and no request was sent."
    sums = Sums.over(rows, overview.all_connections())
    run = Run(overview, sums, _findings(overview), process(overview).wall_time)
    return "".join(text for _, text in sentence(run))


def facts(overview: Overview, sample: Sample, source: bool) -> dict[str, Any]:
    """Everything but the lanes and bars themselves."""
    run, tallies = process(overview), overview.all_connections()
    by_key = {(row.origin, row.site): row for row in overview.rows()}
    findings = _findings(overview)
    sites = {site for _, site in sample.groups}
    lines = {where for site in sites for where in (site.call_site, site.sdk_call_site) if where}
    lines |= {where for found in findings for where in (found.call_site, found.sdk_call_site) if where}
    first = next(iter(overview.headers.values()), None)
    return {
        "words": run.words,
        "base": Paths(line.file for line in lines).base,
        "zero": (first.started_at if first else 0.0) * 1e6,
        "wall_zero": first.wall_at_zero + first.started_at if first else None,
        "processes": {header.pid: header.program for header in overview.headers.values()},
        "wall_time": run.wall_time,
        "totals": _totals(overview, tallies),
        "notes": notes(overview),
        "groups": [
            _group(origin, site, by_key.get((origin, site)) or by_key.get((OTHER, OTHER_SITE)), tallies)
            for origin, site in sample.groups
        ],
        "findings": [_finding(finding) for finding in findings],
        "thinned": _thinned(sample),
        "source": _source(lines) if source else {},
        "texts": sample.texts.all(),
    }


def _totals(overview: Overview, tallies: dict[Row, Tally]) -> dict[str, Any]:
    sums = Sums.over(tallies, tallies)
    clients = {"clients": overview.clients, "construction": overview.construction}
    return {**sums._asdict(), **clients, "still_open": overview.still_open}


def _group(origin: str, site: Site, row: Row | None, tallies: dict[Row, Tally]) -> dict[str, Any]:
    return {
        "origin": origin,
        "kind": site.kind,
        "site": _site(site.call_site),
        "sdk": _site(site.sdk_call_site),
        "sums": None if row is None else Sums.over([row], tallies)._asdict(),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    known = {field.name: getattr(finding, field.name) for field in dataclasses.fields(finding)}
    site, sdk = known.pop("call_site"), known.pop("sdk_call_site")
    return {**known, "site": _site(site), "sdk": _site(sdk)}


def _site(site: CallSite | None) -> list[Any] | None:
    """File, line and function; then the name of a line that is in no file."""
    if site is None:
        return None
    return [site.file, site.line, site.function, *([] if site.has_file else [site.at()])]


def _thinned(sample: Sample) -> dict[str, Any]:
    return {
        "requests": sample.ordinary.seen + sample.remarkable.seen,
        "drawn": len(sample.exchanges),
        "step": sample.ordinary.step,
        "remarkable_step": sample.remarkable.step,
        "connections": sample.lanes_seen,
        "lanes": len(sample.connections),
    }


def _source(lines: set[CallSite]) -> dict[str, list[Any]]:
    """The lines as they are in the files now, which may differ from the code that ran."""
    found = {}
    for site in sorted({line for line in lines if line.has_file}, key=lambda line: (line.file, line.line))[
        :GROUPS_WITH_SOURCE
    ]:
        text = linecache.getlines(site.file)
        first = max(1, site.line - AROUND)
        part = [line.rstrip("\n")[:300] for line in text[first - 1 : site.line + AROUND]]
        if part and site.line <= len(text):
            found[f"{site.file}:{site.line}"] = [first, part]
    return found
