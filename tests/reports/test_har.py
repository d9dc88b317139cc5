"""HTTP archives: valid, with each request's connection, and with times that add up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from poolscope.records import Exchange, Phase, Record
from poolscope.reports.har import renderer
from poolscope.reports.renderer import Look
from tests.reports.stories import LINE, Story

SCHEMA = json.loads(Path(__file__).with_name("har.schema.json").read_text("utf-8"))


def archive(records: Iterable[Record]) -> Any:
    pieces: list[str] = []
    rendering = renderer(pieces.append, Look())
    for record in records:
        rendering.add(record)
    rendering.finish()
    made = json.loads("".join(pieces))
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    return made["log"]


def sample() -> Story:
    story = Story()
    story.header()
    return story


def test_the_schema_refuses_an_invalid_archive() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    wrong = archive(sample().records)
    wrong["entries"] = [{"startedDateTime": "yesterday"}]
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid({"log": wrong})


def test_an_empty_recording_is_an_archive() -> None:
    assert archive([])["entries"] == []
    assert archive(sample().records)["creator"] == {"name": "poolscope", "version": "0.1.0"}


def test_the_request_that_opens_the_connection_has_its_setup() -> None:
    story = sample()
    client = story.client()
    connection = story.connect(client, connect=0.02, tls=0.05, peer_address="10.0.0.1", http_version="1.1")
    begin = connection.setup_started_at or 0.0
    connection.setup["dns"] = Phase(begin, 0.004)
    first = story.exchange(client, connection, took=0.03)
    story.records[-1] = replace(
        first, started_at=begin - 0.01, pool_wait=0.01, sent_at=begin + 0.071, headers_at=begin + 0.09
    )
    story.exchange(client, connection, took=0.03, call_site=LINE, status=404)
    one, two = archive(story.records)["entries"]
    assert one["timings"] == pytest.approx(
        {"blocked": 10, "dns": 4, "connect": 66, "ssl": 50, "send": 1, "wait": 19, "receive": 10}
    )
    assert one["time"] == pytest.approx(110)
    assert one["startedDateTime"] == "2001-09-09T01:46:40.000Z"
    assert one["serverIPAddress"] == "10.0.0.1"
    assert one["request"]["httpVersion"] == "HTTP/1.1"
    assert (two["timings"]["dns"], two["timings"]["connect"], two["timings"]["ssl"]) == (-1, -1, -1)
    assert two["time"] == pytest.approx(30)
    assert one["connection"] == two["connection"] == one["_connectionId"] == f"100#{connection.id}"
    assert (two["response"]["status"], two["response"]["statusText"]) == (404, "Not Found")
    assert two["_initiator"] == {"type": "script", "url": LINE.file, "lineNumber": 12}


def test_a_request_without_a_connection_is_blocked_all_the_time() -> None:
    story = sample()
    story.failure(story.client())
    (entry,) = archive(story.records)["entries"]
    assert "connection" not in entry
    assert entry["timings"]["blocked"] == pytest.approx(20)
    assert (entry["response"]["status"], entry["_error"]) == (0, "httpx.ConnectError")


def test_times_add_up_even_if_some_were_not_observed() -> None:
    for missing in ("sent_at", "headers_at", "pool_wait", "request_number", "method", "url", "status"):
        story = sample()
        connection = story.connect(client := story.client())
        exchange = story.exchange(client, connection, took=0.5)
        known: dict[str, Any] = {"sent_at": story.now - 0.4, "headers_at": story.now - 0.1, "pool_wait": 0.05}
        story.records[-1] = replace(exchange, **{**known, missing: None})
        (entry,) = archive(story.records)["entries"]
        parts = entry["timings"]
        assert entry["time"] == pytest.approx(sum(parts[n] for n in parts if parts[n] != -1 and n != "ssl"))
        assert entry["time"] == pytest.approx(500), missing


def test_a_request_in_progress_is_there_once_with_what_is_known() -> None:
    story = sample()
    connection = story.connect(client := story.client())
    over = story.exchange(client, connection)
    reading = story.exchange(client, connection, took=0.2)
    story.records[-2:] = [
        replace(over, finished_at=None, state="reading"),
        over,
        replace(reading, headers_at=story.now - 0.1, finished_at=None, state="reading"),
    ]
    one, two = archive(story.records)["entries"]
    assert one["time"] == pytest.approx(10)
    assert "comment" not in one
    assert two["time"] == pytest.approx(100)
    assert two["comment"] == "in progress when this was written"


def test_a_request_without_a_known_start_is_counted() -> None:
    story = sample()
    story.exchange(None, None, started_at=None)
    log = archive(story.records)
    assert log["entries"] == []
    assert log["comment"] == "1 request without a known start is left out"


def test_every_request_of_several_processes_keeps_its_own_clock() -> None:
    story, child = sample(), Story(pid=200)
    child.header(wall_at_zero=2e9)
    for each in (story, child):
        each.exchange(client := each.client(), each.connect(client))
    one, two = archive(story.records + child.records)["entries"]
    assert (one["startedDateTime"][:4], two["startedDateTime"][:4]) == ("2001", "2033")
    assert one["connection"] != two["connection"]
    assert len([r for r in story.records if isinstance(r, Exchange)]) == 1
