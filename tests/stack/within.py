"""Expected values that are known as a range."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Within:
    """Any number between two: all that a histogram can say of a known duration on a busy machine."""

    low: float
    high: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and self.low <= other <= self.high

    __hash__ = None  # type: ignore[assignment]


def about(seconds: list[float]) -> Within:
    """A pause as the server saw it in each round, on its side of the connection."""
    return Within(min(seconds) * 0.6 - 0.02, max(seconds) * 1.5 + 0.02)
