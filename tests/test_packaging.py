"""What goes to the package index: `make package` builds and tries it; these tests need no build."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

import poolscope

HOUSE = Path(__file__).resolve().parent.parent
FORGE = "https://forge.example/pool/poolscope"
RELATIVE = re.compile(r"\]\((?!https?:)")


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """The project's metadata as a build reads it, with POOLSCOPE_REPOSITORY set to the parameter."""
    monkeypatch.setenv("POOLSCOPE_REPOSITORY", getattr(request, "param", ""))
    return ProjectMetadata(str(HOUSE), PluginManager())


def test_there_is_one_version(metadata: Any) -> None:
    assert metadata.version == poolscope.__version__


@pytest.mark.parametrize("metadata", [FORGE, FORGE + "/"], indirect=True)
def test_links_of_the_index_page_lead_to_the_files_of_the_release(metadata: Any) -> None:
    page = metadata.core.readme
    assert not RELATIVE.search(page)
    for name in re.findall(rf"\({FORGE}/blob/v{poolscope.__version__}/([^)#]+)\)", page):
        assert (HOUSE / name).exists()
    assert f"[docs/run.md]({FORGE}/blob/v{poolscope.__version__}/docs/run.md)" in page


@pytest.mark.parametrize("metadata", [FORGE], indirect=True)
def test_addresses_are_those_of_the_repository(metadata: Any) -> None:
    assert metadata.core.urls["Source"] == FORGE
    assert set(metadata.core.urls) == {"Source", "Issues", "Changelog", "Documentation"}


def test_without_a_repository_there_are_no_addresses_and_no_broken_links(metadata: Any) -> None:
    assert metadata.core.urls == {}
    assert not RELATIVE.search(metadata.core.readme)
    assert "docs/run.md" in metadata.core.readme


@pytest.mark.parametrize(
    "metadata",
    ["http://forge.example/pool/poolscope", "https://me:secret@forge.example/pool", "https://forge.example"],
    indirect=True,
)
def test_what_must_not_be_published_is_refused(metadata: Any) -> None:
    with pytest.raises(ValueError, match="POOLSCOPE_REPOSITORY is an https address") as refused:
        _ = metadata.core.urls
    assert "secret" not in str(refused.value)


def test_grpc_is_an_extra_of_its_own() -> None:
    extras = tomllib.loads((HOUSE / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert not [requirement for requirement in extras["otlp"] if "grpc" in requirement]
    assert [requirement for requirement in extras["otlp-grpc"] if "grpc" in requirement]
