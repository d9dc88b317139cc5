"""Findings as SARIF 2.1.0, for code scanning and for viewers of static analysis.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from typing import Any, Final
from urllib.parse import quote

from poolscope.findings import RULES, Rule
from poolscope.findings.fingerprint import Fingerprint, path_from
from poolscope.findings.pages import page
from poolscope.records import CallSite, Severity
from poolscope.reports.annotations import Annotation, annotations_of, placed
from poolscope.reports.overview import Overview
from poolscope.reports.printable import printable_json
from poolscope.reports.renderer import Look, Renderer, SummaryRenderer, Write

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: Final[dict[Severity, str]] = {"warning": "warning", "info": "note"}
ROOT: Final = "%SRCROOT%"
FINGERPRINT: Final = "poolscope/v1"


def renderer(write: Write, look: Look) -> Renderer:
    """The log, as one of the formats."""

    def whole(overview: Overview) -> str:
        first = next(iter(overview.headers.values()), None)
        return render(annotations_of(overview), look.root, "" if first is None else first.poolscope)

    return SummaryRenderer(write, look, whole)


def render(annotations: Sequence[Annotation], root: str, version: str, run: str = "poolscope/") -> str:
    """One log of one run, with paths from ``root``; ``version`` is that of the poolscope that watched it.

    To code scanning, a later log of the same ``run`` replaces the earlier one.
    """
    there = placed(annotations)
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(version)},
                "automationDetails": {"id": run},
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, root) for one in there],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            _notification(one) for one in annotations if one not in there
                        ],
                    }
                ],
            }
        ],
    }
    return printable_json(json.dumps(log, indent=2, ensure_ascii=False)) + "\n"


def _driver(version: str) -> dict[str, Any]:
    known = {"semanticVersion": version, "informationUri": _address()}
    present = {name: value for name, value in known.items() if value}
    return {"name": "poolscope", **present, "rules": [_rule(rule) for rule in RULES]}


def _address() -> str | None:
    """The project's address, if the package has one."""
    try:
        urls = metadata.metadata("poolscope").get_all("Project-URL") or ()
    except metadata.PackageNotFoundError:
        return None
    return dict(url.split(", ", 1) for url in urls).get("Source")


def _rule(rule: type[Rule]) -> dict[str, Any]:
    explanation = rule.explanation or f"{rule.title}."
    try:
        text = page(rule.code)
    except LookupError:  # a report without help is better than none
        text = explanation
    return {
        "id": rule.code,
        "name": rule.__name__,
        "shortDescription": {"text": f"{rule.title[0].upper()}{rule.title[1:]}."},
        "fullDescription": {"text": explanation},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"tags": ["performance", "http"], "precision": "very-high"},
    }


def _result(one: Annotation, root: str) -> dict[str, Any]:
    finding = one.finding
    sites = [site for site in (one.site, finding.sdk_call_site) if site is not None and site.has_file]
    return {
        "ruleId": finding.code,
        "ruleIndex": [rule.code for rule in RULES].index(finding.code),
        "level": LEVELS[finding.severity],
        "message": {"text": "\n".join(one.lines())},
        "locations": [_location(sites[0], root)],
        "relatedLocations": [
            {**_location(site, root), "message": {"text": "The client is built through this line."}}
            for site in sites[1:]
            if site != sites[0]
        ],
        "partialFingerprints": {FINGERPRINT: Fingerprint.of(finding, root).digest()},
        "properties": {"cost": finding.cost, "saving": finding.saving, "count": finding.count},
    }


def _location(site: CallSite, root: str) -> dict[str, Any]:
    path = path_from(root, site.file)
    base = {} if path.startswith("/") else {"uriBaseId": ROOT}
    uri = quote(f"file://{path}" if path.startswith("/") else path, safe="/:", errors="surrogatepass")
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": uri, **base},
            "region": {"startLine": max(1, site.line)},
        },
        "logicalLocations": [{"fullyQualifiedName": site.function, "kind": "function"}],
    }


def _notification(one: Annotation) -> dict[str, Any]:
    return {
        "level": LEVELS[one.finding.severity],
        "message": {"text": "\n".join([f"{one.finding.code} {one.finding.title}", *one.lines()])},
    }
