"""Several processes as one: sums, and lists of items that name their process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import reduce
from typing import Any, Final, Generic, TypeVar

from poolscope.look.frame import (
    SCHEMA,
    Counts,
    FindingNow,
    Holder,
    LaneNow,
    Look,
    OriginNow,
    PoolNow,
    RouteNow,
    Waiter,
)
from poolscope.reports.printable import printable_json

_Item = TypeVar("_Item")


@dataclass(slots=True, frozen=True)
class Of(Generic[_Item]):
    """An item and its process."""

    pid: int
    item: _Item


@dataclass(slots=True)
class Together:
    """All looks as one."""

    looks: Sequence[Look]
    totals: Counts
    origins: list[OriginNow]
    routes: list[RouteNow]
    pools: list[Of[PoolNow]]
    holders: list[Of[Holder]]
    waiters: list[Of[Waiter]]
    lanes: list[Of[LaneNow]]
    findings: list[Of[FindingNow]]

    @property
    def taken_at(self) -> float:
        """Unix time of the newest look."""
        return max((look.taken_at for look in self.looks), default=0.0)


def together(looks: Sequence[Look]) -> Together:
    """The looks as one, the most urgent first."""
    totals = Counts()
    for look in looks:
        totals.add(look.totals)
    return Together(
        looks=looks,
        totals=totals,
        origins=_origins(looks),
        routes=_routes(looks),
        pools=sorted(
            _all(looks, lambda look: look.pools),
            key=lambda of: (-of.item.waiting, -of.item.taken / max(of.item.limit, 1)),
        ),
        holders=sorted(_all(looks, lambda look: look.holders), key=lambda of: -of.item.held),
        waiters=sorted(_all(looks, lambda look: look.waiters), key=lambda of: -of.item.waited),
        lanes=_all(looks, lambda look: look.lanes),
        findings=_findings(looks),
    )


def _all(looks: Sequence[Look], items: Callable[[Look], list[_Item]]) -> list[Of[_Item]]:
    return [Of(look.pid, item) for look in looks for item in items(look)]


def _origins(looks: Sequence[Look]) -> list[OriginNow]:
    sums: dict[str, OriginNow] = {}
    for look in looks:
        for origin in look.origins:
            sums.setdefault(origin.origin, OriginNow(origin=origin.origin)).add(origin)
    return sorted(sums.values(), key=lambda origin: (-origin.waiting, -origin.active, -origin.requests))


def _routes(looks: Sequence[Look]) -> list[RouteNow]:
    sums: dict[str, RouteNow] = {}
    for look in looks:
        for route in look.routes:
            before = sums.get(route.route)
            sums[route.route] = route if before is None else _both(before, route)
    return sorted(sums.values(), key=lambda route: (-route.setup, -route.requests, route.route))


def _both(one: RouteNow, other: RouteNow) -> RouteNow:
    numbers = {each.name: getattr(one, each.name) for each in fields(RouteNow) if each.name != "route"}
    return replace(one, **{name: number + getattr(other, name) for name, number in numbers.items()})


def _findings(looks: Sequence[Look]) -> list[Of[FindingNow]]:
    """One finding per habit, however many processes have it, in the words of the largest. As in a report, the saving
    is that of one process, because they run side by side.
    """
    together: dict[Any, list[Of[FindingNow]]] = {}
    for of in sorted(_all(looks, lambda look: look.findings), key=lambda of: -of.item.count):
        together.setdefault((of.item.code, of.item.origin, of.item.call_site), []).append(of)
    return sorted(map(_one, together.values()), key=lambda of: of.item.age())


def _one(findings: list[Of[FindingNow]]) -> Of[FindingNow]:
    """The sums over all; what the sentence says is of the process with the most."""
    pid, most = findings[0].pid, findings[0].item
    if len({of.pid for of in findings}) > 1:
        most = replace(most, sentence=f"In process {pid}: {most.sentence}")
    return Of(pid, reduce(_added, (of.item for of in findings[1:]), most))


def _added(one: FindingNow, other: FindingNow) -> FindingNow:
    return replace(
        one,
        count=one.count + other.count,
        cost=_sum(one.cost, other.cost),
        saving=max((each for each in (one.saving, other.saving) if each is not None), default=None),
        seen=None if one.seen is None or other.seen is None else max(one.seen, other.seen),
    )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


_PER_PROCESS: Final = ("pid", "parent", "program", "taken_at", "up", "clients", "dropped")


def to_json(shown: Together) -> str:
    """One line of JSON, for scripts; docs/live.md describes it."""
    processes = [
        {**{name: getattr(look, name) for name in _PER_PROCESS}, "totals": _counts(look.totals)}
        for look in shown.looks
    ]
    lists = ("pools", "holders", "waiters", "lanes", "findings")
    whole = {
        "type": "top",
        "schema": SCHEMA,
        "taken_at": shown.taken_at,
        "processes": processes,
        "totals": _counts(shown.totals),
        "origins": [_counts(origin) for origin in shown.origins],
        "routes": [asdict(route) for route in shown.routes],
        **{name: [{"pid": of.pid, **asdict(of.item)} for of in getattr(shown, name)] for name in lists},
    }
    return printable_json(json.dumps(whole, ensure_ascii=False))


def _counts(counts: Counts) -> dict[str, Any]:
    return {**asdict(counts), "open": counts.open}
