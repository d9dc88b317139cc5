"""What every test of the truth may ask for."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    """A socket that this test left open is reported now: the next one to collect garbage would fail for it."""
    yield
    gc.collect()
