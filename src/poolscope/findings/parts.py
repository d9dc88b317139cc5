"""The parts of a finding's cost: seconds by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def added(tables: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """One table with the sums of several."""
    sums: dict[str, float] = {}
    for table in tables:
        for name, number in table.items():
            sums[name] = sums.get(name, 0.0) + number
    return sums
