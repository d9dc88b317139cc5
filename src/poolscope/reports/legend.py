"""Explains less known words and signs below a report that uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from poolscope.reports.axis import MEANING
from poolscope.reports.rows import Rows

BETWEEN: Final = (
    "is the time between the phases of setup: creating the socket and its object, and waiting for the CPU, the"
    " event loop or another thread."
)


def legend(rows: Rows) -> Iterator[tuple[str, str]]:
    """Terms, each with its explanation."""
    signs = [f"{sign} {meaning}" for sign, meaning in MEANING.items() if sign in rows.signs]
    if signs:
        yield "lanes", ", ".join(signs)
    if rows.has_other:
        yield "other", BETWEEN
    if rows.named is not None:
        pid, number = rows.named.key
        yield f"{pid}#{number}", f"is connection {number} of process {pid}."
