"""pytest's way in: options, a marker and a fixture. Nothing else is loaded until one of them is used.

Not in the package: pytest imports this in every run of every project that has poolscope installed. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any

import pytest

OPTIONS = {
    "poolscope_fail_on": ("CODES", "fail if one of these findings is there: PS101,PS103, or warning, or any"),
    "poolscope_ignore": (
        "FINDING",
        "ignore PS106, PS101:scripts/*.py or PS106@*.partner.example; may be repeated",
    ),
    "poolscope_baseline": ("FILE", "accept the findings that FILE lists"),
    "poolscope_write_baseline": ("FILE", "write today's findings to FILE, and accept them"),
    "poolscope_report": (
        "FORMAT[:FILE]",
        "write the findings for a review: github, sarif:FILE, gitlab:FILE, markdown:FILE; may be repeated",
    ),
}
REPEATED = ("poolscope_ignore", "poolscope_report")
MARKER = "poolscope_budget"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("poolscope", "HTTP connections (poolscope)")
    group.addoption(
        "--poolscope",
        action="store_true",
        help="print the findings of the tests: what they do wrong with HTTP connections",
    )
    for name, (metavar, words) in OPTIONS.items():
        action = "append" if name in REPEATED else "store"
        group.addoption(f"--{name.replace('_', '-')}", dest=name, action=action, metavar=metavar, help=words)
    group.addoption(
        "--poolscope-across-tests",
        action="store_true",
        help="also fail for findings that only several tests together show, as if the session were one run",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(max_connections=None, min_reuse=None, max_cost=None): how many HTTP connections the test may open,"
        " the share of requests that reuse one, and the seconds that building, setup and closing may cost",
    )
    # An empty value is one: a gate must not be off because a variable of CI was empty.
    if any(
        config.getoption(name) not in (None, False)
        for name in ("poolscope", "poolscope_across_tests", *OPTIONS)
    ):
        from poolscope.under_pytest import start

        start(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker(MARKER) is not None]
    if marked:
        from poolscope.under_pytest.budgets import check

        check(marked)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    if item.get_closest_marker(MARKER) is None:
        return (yield)
    from poolscope.under_pytest.budgets import watched

    with watched(item):
        return (yield)


@pytest.fixture
def poolscope_budget() -> Any:
    """Limits for a part of a test.

    ``with poolscope_budget(max_connections=1, min_reuse=0.9, max_cost=0.05): …``
    """
    from poolscope.testing import budget

    return budget
