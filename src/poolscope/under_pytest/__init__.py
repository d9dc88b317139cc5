"""poolscope in a pytest session, once an option asks for it.

`watcher` runs where tests run, and puts on each test's report what the test showed. `reporter` runs where the session
is reported: with pytest-xdist that is another process.
"""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.recording.errors import UsageError


def start(config: pytest.Config) -> None:
    """Register the plugins that this process needs; pytest.UsageError if an option cannot be read."""
    from poolscope.under_pytest.reporter import Reporter
    from poolscope.under_pytest.watcher import Watcher

    if _runs_tests(config):
        config.pluginmanager.register(Watcher(), "poolscope-watcher")
    if not _is_worker(config):
        try:
            config.pluginmanager.register(Reporter(config), "poolscope-reporter")
        except UsageError as error:
            raise pytest.UsageError(f"poolscope: {error}") from None


def _is_worker(config: Any) -> bool:
    return hasattr(config, "workerinput")


def _runs_tests(config: pytest.Config) -> bool:
    """Whether tests run here; with pytest-xdist they run in other processes."""
    return _is_worker(config) or config.getoption("dist", "no") == "no"
