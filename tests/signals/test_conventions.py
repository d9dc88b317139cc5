"""The table and the data really sent, compared with facts of the official conventions (conventions.json)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from opentelemetry.sdk.metrics.export import Histogram, Sum
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from poolscope.signals import names, table
from tests.signals.telemetry import Telemetry

OFFICIAL = json.loads((Path(__file__).parent / "conventions.json").read_text(encoding="utf-8"))
ATTRIBUTES, METRICS = OFFICIAL["attributes"], OFFICIAL["metrics"]
CLIENT_SPAN = OFFICIAL["spans"]["span.http.client"]
SOURCES = {"stable": "semconv", "development": "semconv-dev"}


def test_the_version_is_the_one_we_send() -> None:
    assert names.SCHEMA_URL == f"https://opentelemetry.io/schemas/{OFFICIAL['version']}"


def test_attributes_have_the_official_types_and_stability() -> None:
    ours = {key: a for key, a in names.ATTRIBUTES.items() if a.source in SOURCES.values()}
    assert {key: (a.type, a.source) for key, a in ours.items()} == {
        key: (fact["type"], SOURCES[fact["stability"]]) for key, fact in ATTRIBUTES.items()
    }


def test_metrics_have_the_official_kinds_units_and_attributes() -> None:
    ours = {name: m for name, m in table.METRICS.items() if m.source in SOURCES.values()}
    assert set(ours) == set(METRICS)
    for name, metric in ours.items():
        fact = METRICS[name]
        assert (metric.kind, metric.unit, metric.source) == (
            fact["instrument"],
            fact["unit"],
            SOURCES[fact["stability"]],
        )
        assert set(metric.attributes) <= set(fact["attributes"]), name
        required = {key for key, level in fact["attributes"].items() if level == "required"}
        assert required <= set(metric.attributes), name


class Deciding(Sampler):
    """A sampler that remembers its input."""

    def __init__(self) -> None:
        self.shown: list[set[str]] = []

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None,
        links: Sequence[Any] | None = None, trace_state: Any = None,
    ) -> SamplingResult:  # fmt: skip
        if kind is not None and kind.name == "CLIENT":
            self.shown.append(set(attributes or ()))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "Deciding"


def use(server: Any) -> None:
    with requests.Session() as session:
        for path in ("/a", "/404", "/redirect"):
            session.get(server.url(path))
        with pytest.raises(requests.ConnectionError):
            session.request("BREW", "http://127.0.0.1:1/")
    with httpx.Client(trust_env=False) as client:
        client.get(f"http://localhost:{server.port}/500")


def test_request_spans_have_what_is_required_and_an_error_only_after_one(server) -> None:
    sampler = Deciding()
    telemetry = Telemetry(sampler)
    with telemetry.instrumented():
        use(server)
    assert len(telemetry.requests) == len(sampler.shown) == 6
    levels = CLIENT_SPAN["attributes"]
    required = {key for key, level in levels.items() if level == "required"}
    for shown in sampler.shown:
        assert set(CLIENT_SPAN["sampling_relevant"]) <= shown
    for span in telemetry.requests:
        about: dict[str, Any] = dict(span.attributes or {})
        assert span.kind.name.lower() == CLIENT_SPAN["kind"]
        assert required <= set(about)
        assert {key for key in about if not key.startswith(("poolscope.", "tls."))} <= {
            *levels,
            names.NETWORK_TYPE,
        }
        status = about.get("http.response.status_code")
        failed = status is None or status >= 400
        assert ("error.type" in about) is failed
        assert (span.status.status_code.name == "ERROR") is failed
        if status is not None and failed:
            assert about["error.type"] == str(status)
        assert ("http.request.method_original" in about) is (about["http.request.method"] == "_OTHER")
        assert about["server.port"] == int(about["url.full"].split("/")[2].rpartition(":")[2])


def test_points_have_what_is_required_and_nothing_unknown(server, telemetry) -> None:
    with telemetry.instrumented():
        use(server)
        with requests.Session() as session, session.get(server.url(), stream=True):
            metrics = {metric.name: metric for metric in telemetry.everything()}
    for name, fact in METRICS.items():
        metric = metrics[name]
        required = {key for key, level in fact["attributes"].items() if level == "required"}
        assert isinstance(metric.data, Histogram if fact["instrument"] == "histogram" else Sum)
        assert metric.unit == fact["unit"]
        assert metric.data.data_points
        for point in metric.data.data_points:
            assert required <= set(point.attributes or ()) <= set(fact["attributes"]), name
    duration = metrics[names.REQUEST_DURATION].data.data_points
    for point in duration:
        status = point.attributes.get("http.response.status_code")
        assert ("error.type" in point.attributes) is (status is None or status >= 400)
