"""Lanes to scale: the positions on the axis, and the words beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolscope.records import Connection
from poolscope.reports import overview, text
from poolscope.reports.axis import Axis, in_words
from poolscope.reports.lanes import Alike, Lane
from tests.reports.stories import Story


def lane(
    requests: int = 1, pause: float = 0.0, reason: str | None = "client_close", **connection: Any
) -> Lane:
    """Set up in 30 ms; each request takes 30 ms."""
    story = Story()
    opened = story.connect(None, tls=0.02)
    made = Lane(opened)
    for _ in range(requests):
        made.add(story.exchange(None, opened, took=0.03))
        story.now += pause
    end = {} if reason is None else {"closed_at": story.now, "close_reason": reason}
    made.connection = replace(opened, **{**end, **connection})
    return made


def drawn(some: Lane, width: int = 40, *others: Lane) -> str:
    axis = Axis.of([some, *others], width)
    assert axis is not None
    return "".join(sign for _, sign in axis.draw(some))


def words(some: Lane, number: int = 1) -> str:
    return "".join(part for _, part in in_words(Alike(some, number)))


def test_setup_request_idle_request() -> None:
    assert drawn(lane(2, pause=0.06), 21) == "━━━" + "███" + "······" + "███" + "······"


def test_lanes_of_one_axis_begin_where_their_time_is() -> None:
    first, later = lane(), lane()
    shift = 0.12
    later.connection = replace(
        later.connection, setup_started_at=shift, opened_at=shift + 0.03, closed_at=shift + 0.06
    )
    later.bars = [bar._replace(start=shift + 0.03, end=shift + 0.06) for bar in later.bars]
    assert drawn(first, 18, later) == "━━━███" + " " * 12
    assert drawn(later, 18, first) == " " * 12 + "━━━███"


@pytest.mark.parametrize("width", [20, 37, 60, 111])
def test_every_kept_request_is_where_its_time_is(width: int) -> None:
    some = lane(8, pause=0.5)
    axis = Axis.of([some], width)
    assert axis is not None
    line = drawn(some, width)
    assert len(line) == width
    for bar in some.kept():
        assert bar.start is not None
        exact = (bar.start - axis.start) / (axis.end - axis.start) * width
        assert line[axis.column(bar.start)] == "█"
        assert abs(axis.column(bar.start) - exact) <= 1


def test_requests_that_were_not_kept_are_a_stretch() -> None:
    line = drawn(lane(1_000), 60)
    assert "▒" * 50 in line
    assert line.endswith("█")


@pytest.mark.parametrize("failing", [1, 2, 500, 999, 1_000])
def test_a_failed_request_is_never_painted_over(failing: int) -> None:
    story = Story()
    opened = story.connect(None)
    some = Lane(opened)
    for number in range(1, 1_001):
        status = 503 if number == failing else 200
        some.add(story.exchange(None, opened, status=status))
    assert drawn(some, 20).count("!") == 1
    assert "503 10ms" in words(some)
    assert ("last 503" if failing == 1_000 else "last 200") in words(some)


def test_the_title_says_when_and_how_long() -> None:
    axis = Axis(2.0, 2.5, 30)
    assert axis.title(1.0) == "+1.00s" + "─" * 14 + "500ms long"
    assert axis.title(None).startswith("───")


def test_words_of_one_request_and_of_many() -> None:
    assert words(lane()) == "setup 30ms · 200 30ms ✕ client close"
    assert words(lane(12), 3) == "setup 30ms · 12 requests · last 200 30ms ✕ client close, and 2 alike"
    assert words(lane(reason=None)).endswith(" → still open")


def test_a_failed_setup() -> None:
    failed = lane(0, opened_at=None, failed_phase="tls", error="ssl.SSLError", close_reason=None)
    assert words(failed) == "setup 30ms ✕ failed in tls (SSLError)"
    assert "━" in drawn(failed)


def test_a_request_that_failed_is_named_by_its_error() -> None:
    story = Story()
    opened = story.connect(None)
    some = Lane(opened)
    some.add(story.exchange(None, opened, status=None, error="httpx.ReadTimeout"))
    some.connection = replace(opened, close_reason="timeout", closed_at=story.now)
    assert words(some) == "setup 10ms · ReadTimeout 10ms ✕ timeout"


def test_a_wait_for_the_pool_is_no_part_of_the_request() -> None:
    story = Story()
    opened = story.connect(None)
    some = Lane(opened)
    some.add(story.exchange(None, opened))
    some.add(story.exchange(None, opened, took=2.0, pool_wait=1.5))
    assert "last 200 500ms" in words(some)
    assert drawn(some, 20).endswith("·█████")


def test_requests_at_the_same_time_are_described_so() -> None:
    story = Story()
    opened = story.connect(None)
    some = Lane(opened)
    first = story.exchange(None, opened)
    some.add(first)
    some.add(replace(first, id=99))
    assert "2 requests, some at the same time" in words(some)


def test_a_connection_with_an_unknown_past() -> None:
    before = lane(setup={}, setup_started_at=None, opened_at=None)
    assert words(before) == "200 30ms ✕ client close"
    assert "━" not in drawn(before)
    assert words(lane(inherited=True)).startswith("inherited · ")


def test_a_connection_without_known_times_is_not_drawn() -> None:
    assert Axis.of([Lane(Connection(1, 1, None, None, "http://a.test", None))], 40) is None


@pytest.mark.parametrize("width", [72, 80, 100, 160])
def test_words_beside_a_lane_are_folded_never_cut(width: int) -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    for status in (200, 503, 200):
        story.exchange(client, connection, status=status)
    story.disconnect(connection, "server_closed_mid_body")
    shown = text.render(overview.of(story.records), width)
    lines = shown.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("    #"))
    assert max(map(len, lines)) <= width
    beside = " ".join(" ".join(lines[at : at + 4]).split())
    for part in ("3 requests", "503 10ms", "last 200 10ms", "✕ server closed mid body"):
        assert part in beside
