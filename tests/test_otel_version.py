"""The lowest OpenTelemetry that works is one number, the same in every place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from poolscope.otel_version import LOWEST, api, too_old

HOUSE = Path(__file__).resolve().parents[1]


def test_every_place_states_the_same_number() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert f"opentelemetry-api>={LOWEST}" in extras["otel"]
    assert f"opentelemetry-sdk>={LOWEST}" in extras["otlp"]
    for page in ("opentelemetry.md", "install.md"):
        assert f"{LOWEST} or newer" in (HOUSE / "docs" / page).read_text(encoding="utf-8")


def test_the_loader_finds_what_it_looks_for() -> None:
    extras = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert extras["instruments"] == [], "all of these would have to be installed"
    named = {requirement.partition(">")[0] for requirement in extras["instruments-any"]}
    assert named == {"httpx", "httpx2", "requests", "urllib3", "aiohttp"}


@pytest.mark.parametrize("version", ["1.37.0", "1.4.0", "0.99", "1.37.99.dev1"])
def test_too_old(version: str) -> None:
    assert version in (too_old(version) or "")


@pytest.mark.parametrize("version", ["1.38.0", "1.38", "1.100.1", "2.0.0rc1", api() or ""])
def test_new_enough(version: str) -> None:
    assert too_old(version) is None
