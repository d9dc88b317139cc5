"""Waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import IO


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_until(stream: IO[str], text: str) -> str:
    """What another process writes, up to the line with ``text``; it must not end before."""
    said = ""
    while text not in said:
        line = stream.readline()
        assert line, said
        said += line
    return said
