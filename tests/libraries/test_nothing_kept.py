"""The registry refers only to sheets: no object of the program can be reached from it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from poolscope import facts
from poolscope.story.live import LIVE
from tests.servers import Running
from tests.truth.probes import ALL
from tests.truth.watching import watch

OURS = ("poolscope.",)
PLAIN = (str, bytes, int, float, bool, type(None), type, FunctionType, ModuleType, type(facts.now))


def reached_from(*roots: Any) -> Iterator[Any]:
    """Everything that ``roots`` refer to, except plain values, classes and code."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        thing = waiting.pop()
        if (
            id(thing) in seen
            or isinstance(thing, PLAIN)
            or type(thing).__name__ in ("code", "member_descriptor")
        ):
            continue
        seen.add(id(thing))
        yield thing
        waiting += gc.get_referents(thing)


@pytest.mark.parametrize("name", ALL)
def test_the_registry_reaches_sheets_only(name: str, server: Running) -> None:
    with watch(name) as (probe, captured):
        assert probe.get(server.url("/fixed/1")) is None
        held = probe.open(server.url("/size/4000000/2"))
        (exchange,) = LIVE.exchanges.values()
        assert exchange.connection is not None
        kinds = {type(thing) for thing in reached_from(exchange, exchange.connection)}
        strangers = {
            kind for kind in kinds if not kind.__module__.startswith((*OURS, "builtins", "itertools"))
        }
        assert strangers <= {__import__("weakref").ref}
        assert not [kind for kind in kinds if hasattr(kind, "__del__")]
        probe.leave(held)
    assert len(captured.exchanges) == 2
