"""Small helpers that the tests of httpcore's hooks share."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.records import Connection
from poolscope.testing import Capture
from tests.truth.probes import HTTPX, HTTPX_ASYNC

on_all = pytest.mark.parametrize("name", HTTPX)
on_async = pytest.mark.parametrize("name", HTTPX_ASYNC)
on_libraries = pytest.mark.parametrize("library", ["httpcore", "httpcore2"])


def one(captured: Capture) -> Connection:
    (connection,) = captured.connections
    return connection


def assert_phases(connection: Connection, *names: str) -> None:
    """Exactly these, one after the other, within the setup's own time."""
    phases = {name: phase for name, phase in connection.setup.items() if name != "total"}
    assert list(phases) == list(names)
    total = connection.setup["total"]
    at = total.start
    for phase in phases.values():
        assert phase.start >= at
        assert phase.duration >= 0
        at = phase.start + phase.duration
    assert at <= total.start + total.duration + 1e-9


def pool_of(probe: Any) -> Any:
    return probe.client._transport._pool
