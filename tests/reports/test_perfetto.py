"""Traces in Chrome's format; tests/pictures opens them in Perfetto itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from poolscope.records import Record
from poolscope.reports.occupancy import Occupancy, joined, values
from poolscope.reports.perfetto import renderer
from poolscope.reports.renderer import Look
from tests.reports.stories import Story


def trace(records: Iterable[Record]) -> list[dict[str, Any]]:
    pieces: list[str] = []
    rendering = renderer(pieces.append, Look())
    for record in records:
        rendering.add(record)
    rendering.finish()
    made: list[dict[str, Any]] = json.loads("".join(pieces))["traceEvents"]
    return made


def with_header() -> Story:
    story = Story()
    story.header()
    return story


def test_an_empty_recording_is_a_trace() -> None:
    assert [event["name"] for event in trace([])] == ["process_name"]


def test_ids_of_processes_and_tracks_never_collide() -> None:
    story = with_header()
    for _ in range(3):
        story.throwaway()
    events = trace(story.records)
    tracks = {event["tid"]: event["pid"] for event in events if "tid" in event}
    assert len(tracks) == 6
    assert len(set(tracks.values())) == 3


def test_a_request_in_progress_lasts_as_long_as_anything_was_seen() -> None:
    story = with_header()
    connection = story.connect(client := story.client())
    reading = story.exchange(client, connection)
    story.records[-1] = replace(reading, finished_at=None, state="reading")
    story.now += 0.5
    story.throwaway()
    (event,) = [event for event in trace(story.records) if event["name"] == "GET 200" and event["dur"] > 1e5]
    assert event["dur"] > 500_000


def test_a_client_that_was_not_seen_gets_its_own_process() -> None:
    story = with_header()
    story.exchange(None, story.connect(None))
    names = [event["args"]["name"] for event in trace(story.records) if event["name"] == "process_name"]
    assert names == ["load.py", "client not seen (100)"]


def test_spans_that_overlap_are_one() -> None:
    assert joined([(3, 4), (0, 2), (1, 2.5), (4, 5)]) == [(0, 2.5), (3, 5)]


def test_a_connection_with_streams_is_busy_once() -> None:
    occupancy = Occupancy()
    occupancy.opened(0.0)
    for start, end in ((3.0, 4.0), (1.0, 6.0), (5.0, 7.0)):
        occupancy.busy((1, 1), start, end, streams=True)
    occupancy.closed((1, 1), 10.0)
    idle = [(at, value) for name, at, value in occupancy.series() if name == "idle"]
    assert idle == [(0.0, 1), (1.0, 0), (7.0, 1), (10.0, 0)]


def test_changes_at_one_moment_are_one_value() -> None:
    changes = [(0.0, 1), (0.0, 1), (1.0, -1), (1.4, 1), (2.0, -1)]
    assert list(values(changes, 0.0)) == [(0.0, 2), (1.0, 1), (1.4, 2), (2.0, 1)]
    assert list(values(changes, 0.5)) == [(0.0, 2), (1.4, 2), (2.0, 1)]
