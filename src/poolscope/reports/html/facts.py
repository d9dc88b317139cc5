"""What the page says in words: the verdict, the sums of each group of lanes, the findings, what is missing."""

from __future__ import annotations

import dataclasses
import linecache
from typing import Any, Final

from poolscope.records import CallSite, Finding
from poolscope.reports.html.sample import Sample
from poolscope.reports.merging import merged, notes, process
from poolscope.reports.picture import Picture
from poolscope.reports.places import OTHER, OTHER_SITE
from poolscope.reports.rows import Sums
from poolscope.reports.tally import Row, Site, Tally
from poolscope.reports.verdict import Run
from poolscope.reports.verdict import verdict as sentence
from poolscope.reports.words import Paths

AROUND: Final = 3
"""Lines of source shown before and after a call site."""
GROUPS_WITH_SOURCE: Final = 200


def _findings(picture: Picture) -> list[Finding]:
    """Of all processes, what matters more first."""
    found = [one.finding for one in merged(picture.findings())]
    return sorted(found, key=lambda finding: finding.severity == "info")


def title(picture: Picture) -> str:
    """The program's name."""
    first = next(iter(picture.headers.values()), None)
    return (first.program if first else None) or "a program without a name"


def verdict(picture: Picture) -> str:
    """The run in a sentence, the same as in the text report."""
    rows = picture.rows()
    if not rows:
        return "No HTTP connection was opened and no request was sent."
    sums = Sums.over(rows, picture.all_connections())
    run = Run(picture, sums, _findings(picture), process(picture).wall_time)
    return "".join(text for _, text in sentence(run))


def facts(picture: Picture, sample: Sample, source: bool) -> dict[str, Any]:
    """Everything but the lanes and bars themselves."""
    tallies = picture.all_connections()
    by_key = {(row.origin, row.site): row for row in picture.rows()}
    findings = _findings(picture)
    sites = {site for _, site in sample.groups}
    lines = {where for site in sites for where in (site.call_site, site.sdk_call_site) if where}
    lines |= {where for found in findings for where in (found.call_site, found.sdk_call_site) if where}
    first = next(iter(picture.headers.values()), None)
    return {
        "words": process(picture).words,
        "base": Paths(line.file for line in lines).base,
        "zero": (first.started_at if first else 0.0) * 1e6,
        "wall_zero": first.wall_at_zero + first.started_at if first else None,
        "processes": {header.pid: header.program for header in picture.headers.values()},
        "wall_time": _wall_time(picture),
        "totals": _totals(picture, tallies),
        "notes": notes(picture),
        "groups": [
            _group(origin, site, by_key.get((origin, site)) or by_key.get((OTHER, OTHER_SITE)), tallies)
            for origin, site in sample.groups
        ],
        "findings": [_finding(finding) for finding in findings],
        "thinned": _thinned(sample),
        "source": _source(lines) if source else {},
        "texts": sample.texts.all(),
    }


def _wall_time(picture: Picture) -> float | None:
    first = next(iter(picture.headers), None)
    summary = None if first is None else picture.summaries.get(first)
    return None if summary is None else summary.wall_time


def _totals(picture: Picture, tallies: dict[Row, Tally]) -> dict[str, Any]:
    sums = [_sums(row, tally) for row, tally in tallies.items()]
    together = {name: sum(each[name] for each in sums) for name in (sums[0] if sums else ())}
    together |= {"clients": picture.clients, "construction": picture.construction}
    return {**together, "still_open": picture.still_open}


def _sums(row: Row, tally: Tally) -> dict[str, Any]:
    return {
        "clients": row.clients,
        "construction": row.construction,
        "requests": row.requests,
        "kept": row.kept,
        "reused": row.reused,
        "connections": tally.opened + tally.unseen + tally.inherited,
        "failed": tally.failed,
        "setup": tally.setup_total,
        "waited": row.waited,
        "wait_time": row.wait_time,
        "errors": sum(row.errors.values()),
    }


def _group(origin: str, site: Site, row: Row | None, tallies: dict[Row, Tally]) -> dict[str, Any]:
    return {
        "origin": origin,
        "kind": site.kind,
        "site": _site(site.call_site),
        "sdk": _site(site.sdk_call_site),
        "sums": None if row is None else _sums(row, tallies[row]),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    known = {field.name: getattr(finding, field.name) for field in dataclasses.fields(finding)}
    site, sdk = known.pop("call_site"), known.pop("sdk_call_site")
    return {**known, "site": _site(site), "sdk": _site(sdk)}


def _site(site: CallSite | None) -> list[Any] | None:
    return None if site is None else [site.file, site.line, site.function]


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
    """The lines that are in the files now, which may differ from those that ran."""
    found = {}
    for site in sorted(lines, key=lambda line: (line.file, line.line))[:GROUPS_WITH_SOURCE]:
        text = linecache.getlines(site.file)
        first = max(1, site.line - AROUND)
        part = [line.rstrip("\n")[:300] for line in text[first - 1 : site.line + AROUND]]
        if part and site.line <= len(text):
            found[f"{site.file}:{site.line}"] = [first, part]
    return found
