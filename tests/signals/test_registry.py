"""The table in names.py, the registry in semconv/, the official conventions and the data really sent agree."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import requests
import yaml
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Sum

from poolscope.facts import BEGUN, ENDED, OPENED, Failure, HookFailure, now
from poolscope.queue import FACTS
from poolscope.signals import names, table
from poolscope.story.door import ENTRANCE
from poolscope.story.live import LIVE
from tests.signals import sheets
from tests.signals.telemetry import Telemetry
from tests.signals.test_events import Findings, finding
from tools import registry

REGISTRY = Path(__file__).resolve().parents[2] / "semconv"
PYTHON: dict[str, Any] = {
    "string": str,
    "string[]": tuple,
    "int": int,
    "double": (float, int),
    "boolean": bool,
}


def groups(name: str) -> list[dict[str, Any]]:
    return yaml.safe_load((REGISTRY / f"{name}.yaml").read_text(encoding="utf-8"))["groups"]


METRICS = {group["metric_name"]: group for group in groups("metrics")}


def official(package: str) -> set[str]:
    """Every string constant of the conventions' own Python package."""
    found = set()
    home = importlib.import_module(package)
    for module in pkgutil.iter_modules(home.__path__):
        if not module.ispkg:
            found |= {
                v
                for v in vars(importlib.import_module(f"{package}.{module.name}")).values()
                if isinstance(v, str)
            }
    return found


class TestTheRegistryAndTheTable:
    def test_the_registry_and_the_documentation_are_what_the_tool_writes(self) -> None:
        for path, text in registry.written().items():
            assert path.read_text(encoding="utf-8") == text, "run python tools/registry.py"
        assert {path.name for path in REGISTRY.iterdir()} == set(registry.files())

    def test_our_own_attributes_begin_with_poolscope(self) -> None:
        (group,) = groups("attributes")
        assert all(each["id"].startswith("poolscope.") for each in group["attributes"])

    def test_every_reference_leads_somewhere(self) -> None:
        own = {each["id"] for group in groups("attributes") for each in group["attributes"]}
        known = official("opentelemetry.semconv._incubating.attributes")
        for name in ("metrics", "spans", "events"):
            for group in groups(name):
                references = [each["ref"] for each in group.get("attributes", ())]
                assert len(references) == len(set(references)), group["id"]
                assert set(references) <= own | known, group["id"]

    def test_names_have_the_form_that_the_conventions_ask_for(self) -> None:
        (attributes,) = groups("attributes")
        own = [each["id"] for each in attributes["attributes"]]
        for name in (*own, *table.METRICS, *table.EVENTS):
            assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", name), name
        for kind in (own, table.METRICS, table.EVENTS):
            for name in kind:
                assert not any(other.startswith(f"{name}.") for other in kind), f"{name} is also a namespace"

    def test_every_attribute_has_a_meaning_and_an_example(self) -> None:
        (attributes,) = groups("attributes")
        for each in attributes["attributes"]:
            assert each["brief"] and each["stability"] == "development"
            assert each["type"] == "boolean" or each.get("examples"), each["id"]

    def test_what_others_defined_is_imported_and_not_copied(self) -> None:
        assert not set(METRICS) & registry.official_metrics()
        assert all(name.startswith("poolscope.") for name in METRICS), "a name of theirs means what they say"

    def test_what_we_call_official_is_official(self) -> None:
        stable = official("opentelemetry.semconv.attributes")
        known = stable | official("opentelemetry.semconv._incubating.attributes")
        for name, attribute in names.ATTRIBUTES.items():
            if attribute.source == "semconv":
                assert name in stable, name
            elif attribute.source == "semconv-dev":
                assert name in known, name
            else:
                assert name not in known, name
        metrics = official("opentelemetry.semconv._incubating.metrics") | official(
            "opentelemetry.semconv.metrics"
        )
        for name, metric in table.METRICS.items():
            assert (name in metrics) == (metric.source in ("semconv", "semconv-dev")), name


def check(about: Any, group: table.Metric | table.Span | table.Event, where: str) -> None:
    assert set(about) <= set(group.attributes), where
    assert not set(group.required) - set(about), where
    for key, value in about.items():
        assert isinstance(value, PYTHON[names.ATTRIBUTES[key].type]), f"{where}: {key}={value!r}"
        assert isinstance(value, bool) == (names.ATTRIBUTES[key].type == "boolean"), (
            f"{where}: {key}={value!r}"
        )


class Busy(NamedTuple):
    telemetry: Telemetry
    metrics: list[Any]


@pytest.fixture
def busy(telemetry: Telemetry, server: Any, monkeypatch: pytest.MonkeyPatch) -> Busy:
    """Telemetry of a program that did a bit of everything."""
    import poolscope.findings

    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs/dup")
    monkeypatch.setattr(poolscope.findings, "new_findings", lambda: Findings(finding()))
    with telemetry.instrumented(events="all"):
        with requests.Session() as session:
            for path in ("/a", "/b", "/500", "/redirect"):
                session.get(server.url(path))
            with pytest.raises(requests.ConnectionError):
                session.request("BREW", "http://127.0.0.1:1/")
        with httpx.Client(trust_env=False) as client:
            client.get(f"http://localhost:{server.port}/")
            assert telemetry.points(names.POOL_MAX)
        waiter = sheets.exchange(queued=True)
        door: Any = ENTRANCE.door
        door.request_started(waiter, None)
        on = sheets.connection(
            ("https", "shop.example", None), via="tunnel", tls_version="TLSv1.3", cipher="c", resumed=True, alpn="h2",
            http_version="2", opened_by=waiter.id,
        )  # fmt: skip
        at: Any = on.opened_at
        on.phases.extend([("proxy_tunnel", at, at), ("tls_context", at, at), ("tls", at, at)])
        door.setup_ended(on, waiter)
        door.headers_received(sheets.answered(waiter, on, pool_wait=0.5, joined=True), None)
        LIVE.begins(waiter)
        waiter.finished_at = waiter.headers_at
        FACTS.put(ENDED, waiter)
        late = sheets.exchange(
            error="httpcore.PoolTimeout", failure=Failure("pool_timeout"), finished_at=now()
        )
        LIVE.begins(late)
        FACTS.put(ENDED, late)
        cut = sheets.answered(sheets.exchange(), on)
        LIVE.begins(cut)
        cut.error, cut.failure, cut.finished_at = "builtins.Exception", Failure("body_cut"), cut.headers_at
        FACTS.put(ENDED, cut)
        LIVE.begins(sheets.exchange())
        on.max_streams = 100
        LIVE.connections[on.id] = on
        FACTS.put(OPENED, sheets.connection())
        FACTS.put(BEGUN, HookFailure("urllib3.connect", "ValueError", disabled=True))
        metrics = telemetry.everything()
    return Busy(telemetry, metrics)


def test_spans_are_as_described(busy: Busy) -> None:
    kinds = {span.name: name for name, span in table.SPANS.items() if name != "request"}
    seen = set()
    spans: list[Any] = busy.telemetry.spans
    for span in spans:
        kind = kinds.get(span.name, "request")
        seen.add(kind)
        if kind == "request":
            assert span.name in (span.attributes[names.METHOD], "HTTP")
        assert span.kind.name.lower() == table.SPANS[kind].kind
        assert span.instrumentation_scope.name in ("poolscope", "test")
        check(span.attributes, table.SPANS[kind], span.name)
    assert seen == set(table.SPANS)


def test_metrics_are_as_described(busy: Busy) -> None:
    assert {metric.name for metric in busy.metrics} == set(table.METRICS)
    for metric in busy.metrics:
        group = table.METRICS[metric.name]
        kind = {Histogram: "histogram", Gauge: "gauge"}.get(type(metric.data))
        if kind is None:
            assert isinstance(metric.data, Sum)
            kind = "counter" if metric.data.is_monotonic else "updowncounter"
        assert (kind, metric.unit, metric.description) == (group.kind, group.unit, group.brief)
        points: list[Any] = list(metric.data.data_points)
        for point in points:
            check(point.attributes, group, metric.name)
            if kind == "histogram":
                assert tuple(point.explicit_bounds) == (table.METRICS[metric.name].few)


def test_events_are_as_described(busy: Busy) -> None:
    records: list[Any] = [each.log_record for each in busy.telemetry.log_exporter.get_finished_logs()]
    assert {record.event_name for record in records} == set(table.EVENTS)
    for record in records:
        check(record.attributes, table.EVENTS[record.event_name], record.event_name)
