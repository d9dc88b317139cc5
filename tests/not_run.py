"""At the end, pytest says which tests it left out, why, and how to run them: a part of tests/conftest.py.

The markers in pyproject.toml that begin with "slow" or "needs" are the reasons.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

OTHER = "-k or -m"
"""The reason of a test without any of the markers."""

LeftOut = dict[str, Counter[str]]
"""Marker → folder → number of tests."""

left_out = pytest.StashKey[LeftOut]()


def reasons(config: pytest.Config) -> dict[str, str]:
    """Marker → what its tests need, or why they are slow; first the needs that may be missing."""
    lines = (line.partition(": ") for line in config.getini("markers"))
    given = {name.partition("(")[0]: why for name, _, why in lines if why.startswith(("needs", "slow"))}
    return dict(sorted(given.items(), key=lambda item: item[1].startswith("slow")))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[left_out] = {}


def pytest_deselected(items: list[pytest.Item]) -> None:
    for item in items:
        marker = next((name for name in reasons(item.config) if item.get_closest_marker(name)), OTHER)
        folders = item.config.stash[left_out].setdefault(marker, Counter())
        folders[item.nodeid.partition("::")[0].rpartition("/")[0] or "."] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left_out"] = {
            marker: dict(folders) for marker, folders in session.config.stash[left_out].items()
        }


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """All of pytest-xdist's workers leave out the same tests."""
    given = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[left_out].update({marker: Counter(folders) for marker, folders in given.items()})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.stash[left_out]:
        return
    terminalreporter.section("not run")
    why = reasons(config)
    for marker, folders in config.stash[left_out].items():
        if marker == OTHER:
            terminalreporter.line(f"{folders.total()} left out by {OTHER}")
            continue
        terminalreporter.line(f"{folders.total()} {marker}: {why[marker]}")
        terminalreporter.line(f"    python -m pytest -m {marker} {' '.join(sorted(folders))}")
    terminalreporter.line(
        "make test-all runs everything, the libraries' own suites and old versions included."
    )
