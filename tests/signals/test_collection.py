"""Where one collection ends and the next one begins."""

from __future__ import annotations

from poolscope.signals import collection
from poolscope.signals.collection import LONGEST, Collection
from tests.signals.telemetry import Telemetry
from tests.signals.test_metrics import Program, program

__all__ = ["program"]


def test_an_instrument_that_is_asked_again_is_asked_by_the_next_one() -> None:
    asked = Collection()
    assert [asked.begins_with(name) for name in ("a", "b", "c")] == [True, False, False]
    assert [asked.begins_with(name) for name in ("a", "b", "c")] == [True, False, False]
    assert [asked.begins_with(name) for name in ("c", "b", "a")] == [True, False, False]


def test_an_instrument_that_is_asked_late_is_asked_by_the_next_one(monkeypatch) -> None:
    asked = Collection()
    assert asked.begins_with("a")
    began_at = asked._began_at
    monkeypatch.setattr(collection, "now", lambda: began_at + 0.99 * LONGEST)
    assert not asked.begins_with("b")
    monkeypatch.setattr(collection, "now", lambda: began_at + 1.01 * LONGEST)
    assert asked.begins_with("c")


def test_a_collection_drains_once(program: Program, telemetry: Telemetry, monkeypatch) -> None:
    monkeypatch.setattr(collection, "LONGEST", float("inf"))  # however long the machine stops in between
    drains = []
    settle = program.signals.metrics.settle
    program.signals.metrics.settle = lambda: drains.append(settle())
    for number in range(1, 4):
        program.exchange(program.connection())
        assert telemetry.total("poolscope.connections.opened") == number
        assert len(drains) == number
