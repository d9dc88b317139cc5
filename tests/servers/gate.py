"""Answers that wait until a test lets them go; only for servers in the test's own process."""

from __future__ import annotations

import asyncio

_open: set[str] = set()


def let_go(path: str) -> None:
    """The request for ``path`` waits no longer."""
    _open.add(path)


def shut(path: str) -> None:
    """A request for ``path`` has arrived, and waits, whatever became of the one before."""
    _open.discard(path)


async def until_let_go(path: str) -> None:
    while path not in _open:
        await asyncio.sleep(0.002)
