"""Whether the hooks fit what is installed."""

from __future__ import annotations

import pytest
import urllib3

from poolscope.libraries import fit


def test_the_version_is_that_of_the_module_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib3, "__version__", "3.0")
    found = fit.examined("urllib3")
    assert (found.version, found.status) == ("3.0", "untested")


def test_what_a_missing_hook_means_is_explained() -> None:
    assert fit.meaning_of("HTTPConnectionPool.urlopen").startswith("exchanges")
    assert fit.meaning_of("Client.__init__").startswith("clients")
    assert fit.meaning_of("nobody.knows") == "some facts would be missing"


def test_versions_outside_the_tested_range_are_named() -> None:
    assert fit._untested("httpx", "0.24.1") == "older than 0.25, the oldest tested"
    assert fit._untested("httpx", "0.25.0") is None
    assert fit._untested("httpx", "0.28.9") is None
    assert fit._untested("httpx", "0.29.0") == "newer than 0.28.*, the newest tested"
    assert fit._untested("urllib3", "1.26.14") is not None
    assert fit._untested("urllib3", "3.0") is not None
