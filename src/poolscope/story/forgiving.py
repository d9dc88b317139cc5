"""What the program gives us (a tracer, a sampler, a processor) may raise: then it is left alone, for a while."""

from __future__ import annotations

from typing import Final

from poolscope.facts import BEGUN, HookFailure, now
from poolscope.queue import FACTS
from poolscope.story.hook import FORGIVEN_AFTER

GIVEN_UP_AT: Final = 3
"""Failures within `FORGIVEN_AFTER` seconds."""


class Patience:
    """After three failures within a minute, it is left alone until a minute after the first of them."""

    __slots__ = ("name", "recent")

    def __init__(self, name: str) -> None:
        self.name = name
        self.recent: tuple[float, ...] = ()
        """When it failed; the last three times at most."""

    def __repr__(self) -> str:
        return f"<Patience with {self.name}, {'lost' if self.is_lost else 'kept'}>"

    @property
    def is_lost(self) -> bool:
        """Whether it is to be left alone now."""
        return len(self.recent) == GIVEN_UP_AT and now() - self.recent[0] < FORGIVEN_AFTER

    def failed(self, error: Exception) -> None:
        """It raised ``error``."""
        self.recent = (*self.recent, now())[-GIVEN_UP_AT:]
        FACTS.put(BEGUN, HookFailure(self.name, type(error).__name__, self.is_lost))
