"""The process that a recording observes, as looks name it."""

from __future__ import annotations

from typing import NamedTuple


class Watched(NamedTuple):
    """The process that is looked at."""

    program: str
    parent: int | None
    started_at: float
    origins: list[str]
    """Patterns: only these servers."""
