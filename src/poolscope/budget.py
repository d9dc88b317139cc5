"""A budget of connections for a block of code or a test, and the message when it is exceeded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from poolscope import records
from poolscope.findings.fingerprint import path_from
from poolscope.reports.words import count, seconds, share

if TYPE_CHECKING:
    from poolscope.testing import Capture

LINES: Final = 3
"""Lines of code that are named in a message."""


@dataclass(slots=True, frozen=True)
class Budget:
    """Limits; None where there is none."""

    max_connections: int | None = None
    """Connections opened in the block."""
    min_reuse: float | None = None
    """Share of the requests that ran on an existing connection, from 0 to 1."""
    max_cost: float | None = None
    """Seconds of building clients, setting connections up and closing them, summed over all threads and tasks."""

    @classmethod
    def parse(cls, values: Mapping[str, Any], place: str) -> Budget:
        """Make it from keyword arguments; ValueError names ``place`` and the wrong argument."""
        for name in values:
            if name not in cls.__slots__:
                raise ValueError(f"{place}: there is no {name} (there are {', '.join(cls.__slots__)})")
        if all(value is None for value in values.values()):
            raise ValueError(f"{place}: a budget has at least one of {', '.join(cls.__slots__)}")
        _check(
            values,
            "max_connections",
            f"{place}: max_connections must be a whole number, at least 0",
            int,
            None,
        )
        _check(values, "min_reuse", f"{place}: min_reuse must be a number from 0 to 1", float, 1)
        _check(values, "max_cost", f"{place}: max_cost must be a number of seconds, at least 0", float, None)
        return cls(**values)

    def broken(self, seen: Capture) -> list[str]:
        """What is over the budget, a sentence each."""
        return [
            sentence
            for sentence in (self._connections(seen), self._reuse(seen), self._cost(seen))
            if sentence is not None
        ]

    def _connections(self, seen: Capture) -> str | None:
        opened = seen.opened()
        if self.max_connections is None or len(opened) <= self.max_connections:
            return None
        where = "; ".join(_lines(seen, opened))
        return (
            f"{count(len(opened), 'connection')} opened, at most {self.max_connections:,} allowed"
            f"{f': {where}' if where else ''}"
        )

    def _reuse(self, seen: Capture) -> str | None:
        if self.min_reuse is None:
            return None
        kept = [exchange for exchange in seen.exchanges if exchange.reused is not None]
        reused = sum(bool(exchange.reused or exchange.joined) for exchange in kept)
        if not kept:
            return f"no request was seen, and at least {self.min_reuse * 100:g} % should reuse a connection"
        if reused >= self.min_reuse * len(kept):
            return None
        return (
            f"{share(reused, len(kept))} of {count(len(kept), 'request')} reused a connection,"
            f" at least {self.min_reuse * 100:g} % wanted"
        )

    def _cost(self, seen: Capture) -> str | None:
        cost = seen.cost()
        if self.max_cost is None or cost <= self.max_cost:
            return None
        return f"{seconds(cost)} of building, setup and closing, at most {seconds(self.max_cost)} allowed"


def _check(values: Mapping[str, Any], name: str, wanted: str, kind: type, most: float | None) -> None:
    value = values.get(name)
    if value is None:
        return
    number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not number or not isfinite(value) or value < 0 or (most is not None and value > most):
        raise ValueError(f"{wanted}, not {value!r}")


def _lines(seen: Capture, opened: list[records.Connection]) -> Iterator[str]:
    """``shop.py:12 in price opened 5``, those that opened most first."""
    sent_by = {exchange.id: exchange.call_site for exchange in seen.exchanges}
    built_by = {client.id: client.call_site for client in seen.clients}
    sites = Counter(
        site
        for connection in opened
        if (site := sent_by.get(connection.opened_by or 0) or built_by.get(connection.client or 0))
        is not None
    )
    for site, number in sites.most_common(LINES):
        yield f"{site.at(path_from(os.getcwd(), site.file))} in {site.function} opened {number:,}"
