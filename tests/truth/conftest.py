"""Fixtures for the tests of the truth."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    """Report a socket that this test left open now; otherwise the next test to collect garbage would fail for it."""
    yield
    gc.collect()
