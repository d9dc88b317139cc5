"""Lanes: one line per connection, and which connections are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolscope.records import Connection
from poolscope.reports.lanes import EDGE, SAMPLED, Lane, LaneSample, draw
from tests.reports.stories import Story


def lane(
    requests: int = 1, pause: float = 0.0, reason: str | None = "client_close", **connection: Any
) -> Lane:
    story = Story()
    opened = story.connect(None, tls=0.02)
    drawn = Lane(opened)
    for _ in range(requests):
        drawn.add(story.exchange(None, opened, took=0.03))
        story.now += pause
    end = {} if reason is None else {"closed_at": story.now, "close_reason": reason}
    drawn.connection = replace(opened, **{**end, **connection})
    return drawn


def drawn(some: Lane, width: int = 100, zero: float | None = 0.0) -> str:
    return "".join(text for _, text in draw(some, zero, width, "#3"))


def test_setup_requests_idle_and_close() -> None:
    assert drawn(lane(2, pause=1.5)) == (
        "#3     +0 µs ━connect 10ms━tls 20ms━█200 30ms█··1.50s··█200 30ms█ ✕ client close"
    )


def test_still_open() -> None:
    assert drawn(lane(reason=None)).endswith("█200 30ms█ → still open")


def test_the_middle_gives_way() -> None:
    line = drawn(lane(1_000, pause=0.01), 100)
    assert "··998 more··" in line
    assert line.endswith("█200 30ms█ ✕ client close")
    assert len(line) <= 100


@pytest.mark.parametrize("requests", [1, 2, 3, EDGE, EDGE + 1, 2 * EDGE, 2 * EDGE + 1, 50])
@pytest.mark.parametrize("width", [56, 76, 96, 136, 400])
def test_every_request_is_drawn_or_counted(requests: int, width: int) -> None:
    line = drawn(lane(requests, pause=0.01), width)
    assert len(line) <= width
    left_out = [part for part in line.split("··") if part.endswith((" more", " requests"))]
    counted = sum(int(part.split()[0].replace(",", "")) for part in left_out)
    assert line.count("█") // 2 + counted == requests


def test_phases_become_one_where_there_is_no_room() -> None:
    assert "━setup 30ms━" in drawn(lane(5), 66)


def test_a_gap_over_requests_that_were_not_kept_is_not_idle_time() -> None:
    line = drawn(lane(2 * EDGE + 1, pause=0.5), 400)
    assert line.count("··500ms··") == 2 * (EDGE - 1)
    assert "█··1 more··█" in line


def test_parallel_requests_are_not_idle() -> None:
    story = Story()
    opened = story.connect(None)
    some = Lane(opened)
    first = story.exchange(None, opened)
    some.add(first)
    some.add(replace(first, id=99))
    assert "█∥█" in drawn(some)


def test_failures() -> None:
    failed = lane(0, opened_at=None, failed_phase="tls", error="ssl.SSLError", close_reason=None)
    assert drawn(failed).endswith("✕ failed in tls (SSLError)")
    story = Story()
    opened = story.connect(None)
    some = Lane(opened)
    some.add(story.exchange(None, opened, status=None, error="httpx.ReadTimeout"))
    some.connection = replace(opened, close_reason="timeout", closed_at=story.now)
    assert "█ReadTimeout 10ms█ ✕ timeout" in drawn(some)


def test_a_wait_for_the_pool_is_no_part_of_the_request() -> None:
    story = Story()
    opened = story.connect(None)
    some = Lane(opened)
    some.add(story.exchange(None, opened))
    some.add(story.exchange(None, opened, took=2.0, pool_wait=1.5))
    assert "█200 10ms█··1.50s··█200 500ms█" in drawn(some)


def test_an_unknown_past() -> None:
    before = lane(setup={}, setup_started_at=None, opened_at=None)
    assert drawn(before).startswith("#3           ┄█")
    assert "┄inherited┄" in drawn(lane(inherited=True))


def connection(number: int, setup: float = 0.01, failed: bool = False) -> Connection:
    made = Story(ids=iter([number])).connect(None, connect=setup)
    return replace(made, failed_phase="connect" if failed else None)


def test_the_sample_is_bounded_and_has_all_sorts() -> None:
    sample = LaneSample()
    for number in range(1, 10_001):
        slow = 1.0 if number == 5_000 else 0.01
        sample.add(Lane(connection(number, slow, failed=number == 7_000)))
    assert sample.seen == 10_000
    assert len(sample.chosen(1_000)) <= 4 * SAMPLED
    assert [some.connection.id for some in sample.chosen(4)] == [1, 5_000, 7_000, 10_000]


def test_a_copy_does_not_change_the_sample() -> None:
    sample = LaneSample()
    sample.add(Lane(connection(1)))
    other = sample.copy()
    other.add(Lane(connection(2)))
    assert [len(some.chosen(10)) for some in (sample, other)] == [1, 2]


def finished(number: int, setup: float, troubled: bool) -> Lane:
    made = lane(0, reason="exchange_failed" if troubled else "client_close", id=number)
    made.connection.setup["total"] = replace(made.connection.setup["total"], duration=setup)
    return made


@settings(deadline=None, max_examples=50)
@given(
    lanes=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=4 * SAMPLED + 5),
    number=st.integers(0, 4 * SAMPLED + 1),
)
def test_the_sample_has_some_of_every_sort(lanes: list[tuple[int, bool]], number: int) -> None:
    sample = LaneSample()
    for at, (setup, troubled) in enumerate(lanes, 1):
        sample.add(finished(at, float(setup), troubled))
    chosen = sample.chosen(number)
    ids = [one.connection.id for one in chosen]
    assert ids == sorted(set(ids)), "each once, in the order in which they came"
    assert len(chosen) <= number
    assert sample.seen == len(lanes)
    if len(lanes) <= SAMPLED:
        assert len(chosen) == min(number, len(lanes))
    if chosen and number >= 4:
        assert ids[0] == 1
        assert ids[-1] == len(lanes)
        assert max(one.setup_time for one in chosen) == max(setup for setup, _ in lanes)
        assert any(one.troubled for one in chosen) == any(troubled for _, troubled in lanes)
