"""Extracts the facts of OpenTelemetry's semantic conventions that our signals are tested against.

    git clone --branch v1.44.0 https://github.com/open-telemetry/semantic-conventions
    python tools/official_conventions.py semantic-conventions 1.44.0 >tests/signals/conventions.json

Keeps only what `poolscope/signals/names.py` names.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from poolscope.signals import names, table

Group = dict[str, Any]
SPANS = ("span.http.client",)


def groups(checkout: Path) -> dict[str, Group]:
    found: dict[str, Group] = {}
    for path in sorted((checkout / "model").rglob("*.yaml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for group in document.get("groups", ()):
            found[group["id"]] = group
        if "attributes" in document:  # definition/2
            attributes = [{**each, "id": each["key"]} for each in document["attributes"] if "key" in each]
            found[str(path)] = {"id": str(path), "attributes": attributes}
    return found


def type_of(attribute: Group) -> str:
    kind = attribute["type"]
    return kind if isinstance(kind, str) else "string"  # an enumeration with named members


def level_of(reference: Group) -> str:
    level = reference.get("requirement_level", "recommended")
    return level if isinstance(level, str) else str(next(iter(level)))


def attributes_of(group: Group, known: dict[str, Group]) -> dict[str, str]:
    """Requirement levels, including those that it inherits; a reference without a level keeps the inherited one."""
    above = attributes_of(known[group["extends"]], known) if "extends" in group else {}
    levels = dict(above)
    for reference in group.get("attributes", ()):
        name = reference.get("ref")
        if name and ("requirement_level" in reference or name not in levels):
            levels[name] = level_of(reference)
    return levels


def main(checkout: Path, version: str) -> None:
    known = groups(checkout)
    attributes, metrics, spans = {}, {}, {}
    for group in known.values():
        for attribute in group.get("attributes", ()):
            if attribute.get("id") in names.ATTRIBUTES and "deprecated" not in attribute:
                stability = attribute.get("stability", group.get("stability", ""))
                attributes[attribute["id"]] = {"type": type_of(attribute), "stability": stability}
        if group.get("metric_name") in table.METRICS:
            metrics[group["metric_name"]] = {
                "instrument": group["instrument"],
                "unit": group["unit"],
                "stability": group["stability"],
                "attributes": attributes_of(group, known),
            }
        if group["id"] in SPANS:
            spans[group["id"]] = {
                "kind": group["span_kind"],
                "attributes": attributes_of(group, known),
                "sampling_relevant": [
                    reference["ref"]
                    for reference in group["attributes"]
                    if reference.get("sampling_relevant")
                ],
            }
    facts = {"version": version, "attributes": attributes, "metrics": metrics, "spans": spans}
    print(json.dumps(facts, indent=1, sort_keys=True))


main(Path(sys.argv[1]), sys.argv[2])
