"""A pytest plugin for the suites' own environments: records each test's outcome, with or without poolscope.

Loaded with ``-p`` before any conftest, so that the hooks are installed before a suite imports its library.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

WATCHED = os.environ["POOLSCOPE_OUTCOMES_WATCHED"] == "1"
TARGET = os.environ["POOLSCOPE_OUTCOMES_FILE"]
outcomes: dict[str, str] = {}
seen: Counter[str] = Counter()

if WATCHED:
    import poolscope
    from poolscope.instrumentor import INSTRUMENTOR

    INSTRUMENTOR.listen(lambda record: seen.update([type(record).__name__]))
    poolscope.instrument(signals=False)


def pytest_runtest_logreport(report: Any) -> None:
    outcome = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if report.skipped else "xpassed"
    if report.when == "call":
        outcomes[report.nodeid] = outcome
    elif outcome == "failed":
        outcomes[report.nodeid] = f"error in {report.when}"
    elif report.when == "setup" and outcome != "passed":
        outcomes[report.nodeid] = outcome


def pytest_sessionfinish() -> None:
    failures: dict[str, int] = {}
    if WATCHED:
        from poolscope.queue import FACTS
        from poolscope.story.hook import HOOKS

        FACTS.settle()
        failures = {name: hook.failures for name, hook in HOOKS.items() if hook.failures}
        seen["dropped"] = FACTS.dropped
    with open(TARGET, "w", encoding="utf-8") as file:
        json.dump({"outcomes": outcomes, "seen": seen, "hook_failures": failures}, file)
