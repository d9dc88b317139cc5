"""The screen, driven by Textual's own pilot over made-up looks: sorting, filtering, pausing, odd names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from poolscope.ledger.snapshot import ConnectionState
from poolscope.look.frame import (
    Counts,
    FindingNow,
    Holder,
    LaneNow,
    Look,
    OriginNow,
    PoolNow,
    RouteNow,
    Waiter,
    from_json,
    to_json,
)
from poolscope.look.merge import together
from poolscope.records import CallSite
from poolscope.top.app import Top
from poolscope.top.lanes import Lanes

LINE = CallSite("/srv/shop/load.py", 12, "fetch")


def look(pid: int = 7, **changed: Any) -> Look:
    """A process with one full pool."""
    counts = Counts(requests=9, on_connection=9, reused=6, opened=3, active=1, waiting=1, oldest_wait=2.5)
    origin = OriginNow(**{name: getattr(counts, name) for name in Counts.__slots__}, origin="https://a.test")
    whole: dict[str, Any] = {
        "schema": 1, "pid": pid, "parent": None, "program": "shop", "taken_at": 1e9, "up": 60.0, "next": 0.1,
        "totals": counts,
        "origins": [origin],
        "routes": [RouteNow("GET /cart", 4, 12, 12, 0, 12, 0.16, 0.0)],
        "pools": [PoolNow(1, "httpx.Client", LINE, 1, 1, 1)],
        "holders": [Holder(4, 2, "https://a.test", "GET", "reading", 3.0, 1, None, "GET /cart", LINE)],
        "waiters": [Waiter(5, "https://a.test", "GET", "waiting", 2.5, 1, "job", None, LINE)],
        "lanes": [LaneNow(2, "https://a.test", "active", 4, None, 9.0)],
        "findings": [
            FindingNow("PS101", "client per request", "warning", "https://a.test", LINE, 3, 1.0, None, "So.", "Do.", 5.0)
        ],
    }  # fmt: skip
    return Look(**whole | changed)


def test_several_processes_show_the_saving_of_one_and_an_unknown_age_stays_unknown() -> None:
    findings = [
        replace(look().findings[0], saving=saving, seen=seen) for saving, seen in ((0.5, 5.0), (0.2, None))
    ]
    processes = [look(pid, findings=[finding]) for pid, finding in enumerate(findings, 1)]
    [merged] = together(processes).findings
    assert (merged.item.count, merged.item.cost, merged.item.saving) == (6, 2.0, 0.5)
    assert merged.item.seen is None
    assert merged.item.sentence == "In process 1: So."


class Fed:
    """Replaces `Watch`: returns the looks that a test provides."""

    over = False

    def __init__(self, *looks: Look) -> None:
        self.fresh = 1
        self._looks = list(looks)

    def shows(self, *looks: Look) -> None:
        self._looks = list(looks)
        self.fresh += 1

    def read(self) -> list[str]:
        return []

    def looks(self) -> list[Look]:
        return self._looks


def on_screen(fed: Fed, story: Callable[[Pilot[None]], Coroutine[Any, Any, None]]) -> None:
    async def played() -> None:
        async with Top(fed).run_test(size=(120, 40)) as pilot:  # type: ignore[arg-type]
            await pilot.pause()
            await story(pilot)

    asyncio.run(played())


def cells(pilot: Pilot[None], table: str) -> list[list[str]]:
    found = pilot.app.query_one(f"#{table}", DataTable)
    return [[str(cell) for cell in found.get_row_at(number)] for number in range(found.row_count)]


def said(pilot: Pilot[None], place: str) -> str:
    return str(pilot.app.query_one(f"#{place}", Static).content)


def test_waiting_requests_come_before_holders() -> None:
    async def story(pilot: Pilot[None]) -> None:
        assert [row[1] for row in cells(pilot, "requests")] == [
            "waits for a connection",
            "holds #2, response open",
        ]
        assert said(pilot, "detail").startswith("/srv/shop/load.py:12 fetch: GET https://a.test waits")
        await pilot.press("down")
        assert "holds #2" in said(pilot, "detail")
        assert said(pilot, "detail").endswith("serving GET /cart")

    on_screen(Fed(look()), story)


def test_several_processes_are_shown_as_one() -> None:
    async def story(pilot: Pilot[None]) -> None:
        assert said(pilot, "heading").startswith("2 processes · 2 open: 2 busy")
        assert [row[5] for row in cells(pilot, "origins")] == ["18"]
        assert [row[3] for row in cells(pilot, "requests")] == ["7", "8", "7", "8"]
        [finding] = cells(pilot, "findings")
        assert finding[1:4] == ["PS101 client per request", "6", "2.00 s"]

    on_screen(Fed(look(7), look(8)), story)


def test_routes_take_the_place_of_the_servers() -> None:
    async def story(pilot: Pilot[None]) -> None:
        await pilot.press("r")
        assert pilot.app.query_one("#routes").display
        assert not pilot.app.query_one("#origins").display
        assert cells(pilot, "routes") == [["GET /cart", "8", "3.0", "40 ms", "3.0", "0 %", "0 µs"]]
        await pilot.press("r")
        assert pilot.app.query_one("#origins").display

    on_screen(Fed(look(7), look(8)), story)


def test_sorting_goes_from_column_to_column_of_the_table_in_focus() -> None:
    fed = Fed(look(holders=[Holder(4, 2, "https://a.test", "GET", "reading", 3.0, 1, None, None, None)]))

    async def story(pilot: Pilot[None]) -> None:
        for _ in range(5):
            await pilot.press("s")
        assert [row[0] for row in cells(pilot, "requests")] == ["2.50 s", "3.00 s"]
        await pilot.press("s")
        assert cells(pilot, "requests")[0][1] == "waits for a connection"

    on_screen(fed, story)


def test_a_pause_keeps_the_screen_and_resuming_shows_the_newest() -> None:
    fed = Fed(look())

    async def story(pilot: Pilot[None]) -> None:
        await pilot.press("space")
        fed.shows(look(waiters=[]))
        await pilot.pause(0.5)
        assert len(cells(pilot, "requests")) == 2
        await pilot.press("space")
        assert len(cells(pilot, "requests")) == 1

    on_screen(fed, story)


def test_names_of_others_cannot_write_on_the_screen() -> None:
    evil = "https://\x1b[31m[bold]a.test"
    fed = Fed(look(holders=[Holder(4, 2, evil, "GET", "reading", 3.0, 1, None, "GET /cart", LINE)]))

    async def story(pilot: Pilot[None]) -> None:
        assert cells(pilot, "requests")[1][4] == "https://�[31m[bold]a.test"

    on_screen(fed, story)


def test_lanes_move_to_the_left() -> None:
    lanes = Lanes()
    states: list[tuple[ConnectionState, int]] = [("connecting", 0), ("active", 1), ("idle", 1), ("idle", 3)]
    for state, requests in states:
        lanes.add(together([look(lanes=[LaneNow(2, "https://a.test", state, requests, None, 9.0)])]))
    [lane] = lanes.drawn(60, "")
    assert lane.startswith("#2 https://a.test (3)")
    assert lane.endswith(" ┄█─▒")
    lanes.add(together([look(lanes=[])]))
    assert lanes.drawn(60, "") == []


def test_a_look_comes_back_as_it_was_sent() -> None:
    assert from_json(to_json(look())) == look()


@pytest.mark.parametrize(
    "changed",
    [
        {"pid": "7"},
        {"up": float("nan")},
        {"schema": 2},
        {"origins": [{"origin": 7}]},
        {"holders": [{}]},
        {"lanes": [{}] * 300},
        {"totals": None},
        {"waiters": {"a": 1}},
    ],
    ids=str,
)
def test_data_that_no_poolscope_sends_is_refused(changed: dict[str, Any]) -> None:
    import json

    data = json.loads(to_json(look())) | changed
    with pytest.raises(ValueError, match=r"look|not|has there"):
        from_json(json.dumps(data))
