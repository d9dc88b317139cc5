"""A probe inside a capture, and the question that the tests of close reasons ask: how did each connection end?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import poolscope.testing
from tests.truth.probes import PROBES, Options, Probe

LEAVES_SOCKETS = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
"""httpcore leaves the socket of some failed or cancelled setups to the garbage collector, with and without us."""

End = tuple[str | None, str | None]


@contextmanager
def watch(name: str, **options: Any) -> Iterator[tuple[Probe, poolscope.testing.Capture]]:
    """Build the probe's client inside a capture; close it at the end if the test did not."""
    with PROBES[name]() as probe, poolscope.testing.capture() as captured:
        probe.build(Options(**options))
        yield probe, captured
        if probe.client is not None:
            probe.close()


def ends(captured: poolscope.testing.Capture) -> list[End]:
    """(close reason, closed by) of every connection that was opened, in order of opening."""
    opened = [connection for connection in captured.connections if connection.opened_at is not None]
    return [(connection.close_reason, connection.closed_by) for connection in opened]


Capture = poolscope.testing.Capture


def giving_up(
    patience: float, attempt: Callable[[float], Capture], got_far: Callable[[Capture], object]
) -> tuple[Capture, float]:
    """What was captured of a client that gives up, and after how many seconds.

    It gets more of them if the machine was too slow for it to get as far as it should.
    """
    for seconds in (patience, 5 * patience):
        captured = attempt(seconds)
        if got_far(captured):
            return captured, seconds
    return attempt(25 * patience), 25 * patience


def until(condition: Callable[[], Any]) -> None:
    """Wait for another thread's move; a library offers no condition to wait on."""
    patience = threading.Event()
    for _ in range(6_000):
        if condition():
            return
        patience.wait(0.01)
    raise AssertionError("it never got this far")
