"""Writes semconv/, the registry that OpenTelemetry's weaver reads, and the tables in docs/opentelemetry.md.

Both come from the tables of `poolscope.signals`:

    python tools/registry.py            # write it
    python tools/registry.py --check    # print what would change, and exit with 1 if anything would

`weaver registry check -r semconv` then checks it against the conventions.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

import yaml

from poolscope import __version__
from poolscope.facts import ERROR_TYPES
from poolscope.signals import errors, names, table

HOME = Path(__file__).resolve().parents[1] / "semconv"
VERSION = names.SCHEMA_URL.rpartition("/")[2]
OFFICIAL = ("semconv", "semconv-dev")
Group = dict[str, Any]


def note(source: str) -> str:
    version = VERSION.rpartition(".")[0]
    return {
        "semconv": f"Defined by the semantic conventions v{version}.",
        "semconv-dev": f"Defined by the semantic conventions v{version}, in development.",
        "dotnet": "Named as in the .NET documents of the semantic conventions.",
        "poolscope": "Of our own.",
    }[source]


def stability(source: str) -> str:
    return "stable" if source == "semconv" else "development"


def references(required: tuple[str, ...], attributes: tuple[str, ...]) -> list[Group]:
    return [{"ref": key, "requirement_level": _level(key, key in required)} for key in attributes]


def _level(key: str, required: bool) -> str | Group:
    if required:
        return "required"
    when = table.SOMETIMES.get(key)
    return "recommended" if when is None else {"conditionally_required": when}


def attributes() -> list[Group]:
    own = {key: a for key, a in names.ATTRIBUTES.items() if a.source == "poolscope"}
    return [
        {
            "id": "registry.poolscope",
            "type": "attribute_group",
            "display_name": "poolscope attributes",
            "brief": "Attributes that OpenTelemetry has no name for.",
            "attributes": [_attribute(key, attribute) for key, attribute in own.items()],
        }
    ]


def _attribute(key: str, attribute: names.Attribute) -> Group:
    group: Group = {
        "id": key,
        "type": attribute.type,
        "stability": "development",
        "brief": attribute.brief,
    }
    examples = {"int": [1], "double": [0.25]}.get(attribute.type, list(attribute.examples))
    return {**group, "examples": examples} if examples else group


def metrics() -> list[Group]:
    return [_metric(name, metric) for name, metric in table.METRICS.items() if metric.source not in OFFICIAL]


def _metric(name: str, metric: table.Metric) -> Group:
    group: Group = {
        "id": f"metric.{name}",
        "type": "metric",
        "metric_name": name,
        "brief": metric.brief,
        "note": note(metric.source),
        "instrument": metric.kind,
        "unit": metric.unit,
        "stability": stability(metric.source),
    }
    if metric.attributes:
        group["attributes"] = references(metric.required, metric.attributes)
    if metric.buckets is not None:
        group["annotations"] = {"poolscope": {"buckets": list(metric.buckets)}}
    return group


def spans() -> list[Group]:
    return [
        {
            "id": f"span.poolscope.{key}",
            "type": "span",
            "span_kind": span.kind,
            "brief": span.brief,
            "note": f"Name: `{span.name}`. {note(span.source)}",
            "stability": stability(span.source),
            "attributes": references(span.required, span.attributes),
        }
        for key, span in table.SPANS.items()
    ]


def events() -> list[Group]:
    return [
        {
            "id": f"event.{name}",
            "type": "event",
            "name": name,
            "brief": event.brief,
            "stability": stability(event.source),
            "attributes": references(event.required, event.attributes),
        }
        for name, event in table.EVENTS.items()
        if event.source not in OFFICIAL
    ]


def manifest() -> Group:
    return {
        "schema_url": f"https://poolscope.invalid/schemas/{__version__}",
        "description": "Every span, metric, attribute and event that poolscope emits.",
        "stability": "development",
        "dependencies": [
            {
                "schema_url": names.SCHEMA_URL,
                "registry_path": "https://github.com/open-telemetry/semantic-conventions/archive/refs/tags/"
                f"v{VERSION}.zip[model]",
            }
        ],
    }


def official_metrics() -> set[str]:
    return {name for name, metric in table.METRICS.items() if metric.source in OFFICIAL}


def imports() -> dict[str, list[str]]:
    """The official metrics and events that we emit as they are."""
    group = {
        "metrics": [name for name in table.METRICS if name in official_metrics()],
        "events": [name for name, event in table.EVENTS.items() if event.source in OFFICIAL],
    }
    return {key: value for key, value in group.items() if value}


_MANIFEST = (
    "For `weaver registry check -r semconv`: names and what they build on.\n"
    "# schema_url is an identity, not an address: no name below .invalid can be anybody's (RFC 2606)."
)


def files() -> dict[str, str]:
    """Each file of the registry, by name."""
    group: dict[str, tuple[str, Group]] = {
        "manifest.yaml": (_MANIFEST, manifest()),
        "attributes.yaml": ("Attributes of our own. Everything else is a reference to the official registry.",
                            {"groups": attributes()}),
        "metrics.yaml": ("Metrics of our own, and those of the official registry that we emit.",
                         {"imports": imports(), "groups": metrics()}),
        "spans.yaml": (f"Spans. Values of error.type where there is no status code: {', '.join(ERROR_TYPES)}.",
                       {"groups": spans()}),
        "events.yaml": ("Events of our own.", {"groups": events()}),
    }  # fmt: skip
    return {
        name: f"# {head}\n# Written by tools/registry.py.\n{_yaml(content)}"
        for name, (head, content) in group.items()
    }


def pages() -> dict[Path, str]:
    """Each page that has a table of ours, as it should be."""
    path = HOME.parent / "docs" / "opentelemetry.md"
    text = path.read_text(encoding="utf-8")
    for head, rows in (("| metric | kind | unit | attributes |", _metric_rows()),
                       ("| `error.type` | means |", _error_rows())):  # fmt: skip
        before, found, rest = text.partition(f"{head}\n")
        rule, _, after = rest.partition("\n\n")
        if not found:
            raise SystemExit(f"{path.name} has no table with the head {head}")
        text = f"{before}{found}{rule.splitlines()[0]}\n{rows}\n\n{after}"
    return {path: text}


def _metric_rows() -> str:
    return "\n".join(
        f"| `{name}` | {metric.kind} | {metric.unit} | {', '.join(f'`{key}`' for key in metric.attributes)} |"
        for name, metric in table.METRICS.items()
    )


def _error_rows() -> str:
    return "\n".join(f"| `{type_}` | {errors.WORDS[type_]} |" for type_ in ERROR_TYPES)


def _yaml(content: Group) -> str:
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    return text


def written() -> dict[Path, str]:
    """All that is written from the table."""
    return {**{HOME / name: text for name, text in files().items()}, **pages()}


def main(check: bool) -> int:
    changed = False
    for path, text in written().items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if text == before:
            continue
        changed = True
        if check:
            sys.stdout.writelines(
                difflib.unified_diff(before.splitlines(True), text.splitlines(True), path.name, path.name)
            )
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))
