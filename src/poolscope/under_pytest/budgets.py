"""``@pytest.mark.poolscope_budget(max_connections=1)``: the test fails if its body used more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from poolscope.budget import Budget
from poolscope.testing import capture

MARKER = "poolscope_budget"


def check(items: list[pytest.Item]) -> None:
    """Check that every budget can be read; pytest.UsageError names the test with an unreadable one."""
    for item in items:
        _budget(item)


def _budget(item: pytest.Item) -> Budget:
    marker = item.get_closest_marker(MARKER)
    assert marker is not None
    path, line, _ = item.location
    place = f"{path}:{(line or 0) + 1}: {MARKER} of {item.name}"
    if marker.args:
        raise pytest.UsageError(f"{place}: limits need names, such as max_connections={marker.args[0]!r}")
    try:
        return Budget.parse(marker.kwargs, place)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


@contextmanager
def watched(item: pytest.Item) -> Iterator[None]:
    """Wraps the body of a test; if the test itself fails, its budget is not checked."""
    budget = _budget(item)
    with capture() as seen:
        yield
    text = seen.over(budget, item.config.get_terminal_writer().fullwidth - 1)
    if text is not None:
        path, line, _ = item.location
        pytest.fail(f"over the budget of {path}:{(line or 0) + 1} in {item.name}\n{text}", pytrace=False)
