"""Live values that end: a series that was reported lately is reported as 0 for a while."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from opentelemetry.metrics import Observation

from poolscope.signals.sums import Attributes

LINGER: Final = 12
"""How many collections report a series as 0 before it ends."""

Key: TypeAlias = tuple[Any, ...]
Counts: TypeAlias = dict[Key, tuple[Attributes, float]]
"""The values of one metric with their attributes, by what tells its series apart."""


class Lingering:
    """Remembers which series of each metric were reported, and for how long they are still."""

    def __init__(self) -> None:
        self._shown: dict[str, dict[Key, tuple[Attributes, int]]] = {}

    def __repr__(self) -> str:
        return f"<Lingering series of {len(self._shown)} metrics>"

    def of(self, metric: str, counts: Counts) -> list[Observation]:
        """Values, and zeros for series that were reported lately: otherwise a last 3 would seem to be still true."""
        shown = self._shown.setdefault(metric, {})
        observations = [Observation(value, about) for about, value in counts.values()]
        for key, (about, left) in tuple(shown.items()):
            if key in counts:
                continue
            observations.append(Observation(0, about))
            if left > 1:
                shown[key] = (about, left - 1)
            else:
                shown.pop(key, None)
        for key, (about, _) in counts.items():
            shown[key] = (about, LINGER)
        return observations
