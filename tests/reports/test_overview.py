"""The report's sums: they agree with the stream, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from itertools import zip_longest

import pytest

from poolscope import findings
from poolscope.records import CallSite, Client, Connection, Exchange, Finding, Record, from_json, to_json
from poolscope.reports import json_report, overview, text
from poolscope.reports.live import OPEN, RECENT
from poolscope.reports.overview import FEW, ROWS_OF_A_CLIENT, Overview
from poolscope.reports.places import CAP, OTHER
from poolscope.reports.tally import MAX_NAMES
from tests.reports.stories import LINE, ORIGIN, Story


def test_sums_of_a_row() -> None:
    story = Story()
    client = story.client("requests.Session")
    connection = story.connect(client, tls=0.02)
    story.exchange(client, connection)
    story.exchange(client, connection, pool_wait=0.5)
    story.exchange(client, connection, error="urllib3.exceptions.ReadTimeoutError", status=None)
    story.disconnect(connection, "timeout")
    story.failure(client)
    story.close(client, 4)
    drawn = overview.of(story.records)
    (row,) = drawn.rows()
    tally = drawn.all_connections()[row]
    assert (row.origin, row.site.kind, row.site.call_site) == (ORIGIN, "requests.Session", LINE)
    assert (row.clients, row.requests, row.kept, row.reused, row.unconnected) == (1, 4, 3, 2, 1)
    assert (row.waited, row.wait_time, row.slowest_wait) == (1, 0.5, 0.5)
    assert row.errors == {"urllib3.exceptions.ReadTimeoutError": 1, "httpx.ConnectError": 1}
    assert (tally.opened, tally.failed, tally.failed_phases) == (1, 1, {"connect": 1})
    assert tally.closes == {"timeout": 1}
    assert tally.setup == {"connect": pytest.approx(0.03), "tls": pytest.approx(0.02)}
    assert tally.setup_total == pytest.approx(0.05)


def test_open_connections_are_part_of_the_picture() -> None:
    story = Story()
    client = story.client()
    story.exchange(client, story.connect(client))
    drawn = overview.of(story.records)
    (row,) = drawn.rows()
    assert drawn.still_open == 1
    assert drawn.all_connections()[row].opened == 1
    assert drawn.all_lanes()[row].seen == 1
    assert row.finished.opened == 0


def test_the_last_record_of_a_connection_wins() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    story.records.append(replace(connection, http_version="2"))
    story.disconnect(connection)
    story.disconnect(connection)
    story.close(client)
    story.close(client)
    drawn = overview.of(story.records)
    (row,) = drawn.rows()
    assert drawn.all_connections()[row].opened == 1
    assert (drawn.clients, row.clients) == (1, 1)


def test_a_connection_may_end_after_its_client() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    story.close(client)
    story.exchange(client, connection)
    story.disconnect(connection, "gc")
    (row,) = overview.of(story.records).rows()
    assert (row.site.call_site, row.requests, row.finished.closes) == (LINE, 1, {"gc": 1})
    assert row.lanes.chosen(1)[0].seen == 1


def test_building_counts_once_for_a_client_of_two_origins() -> None:
    story = Story()
    client = story.client(built_in=1.0)
    for origin in ("http://a.test", "http://b.test"):
        story.exchange(client, story.connect(client, origin))
    drawn = overview.of(story.records)
    assert [row.construction for row in drawn.rows()] == [1.0, 0.0]
    assert [row.clients for row in drawn.rows()] == [1, 1]
    assert (drawn.clients, drawn.construction) == (1, 1.0)


def test_the_same_ids_in_two_processes() -> None:
    records = []
    for pid in (1, 2):
        story = Story(pid=pid)
        story.throwaway()
        records += story.records
    (row,) = overview.of(records).rows()
    assert (row.clients, row.requests, row.finished.opened) == (2, 2, 2)


def test_inherited_connections_are_not_opened_again() -> None:
    story = Story()
    client = story.client()
    story.connect(client, inherited=True)
    story.connect(client, opened_at=None, setup_started_at=None, setup={})
    drawn = overview.of(story.records)
    tally = drawn.all_connections()[drawn.rows()[0]]
    assert (tally.opened, tally.inherited, tally.unseen, tally.setup_total) == (0, 1, 1, 0.0)


def test_findings_in_the_stream_are_computed_again() -> None:
    story = Story()
    for _ in range(5):
        story.throwaway()
    wrong = Finding(100, "PS999", "no", None, None, None, 1, None, None, "")
    drawn = overview.of([wrong, *story.records])
    assert drawn.findings() == findings.find(story.records)
    assert [finding.code for finding in drawn.findings()] == ["PS101"]


def test_a_saved_stream_gives_the_same_report() -> None:
    story = Story()
    story.header()
    for number in range(20):
        story.throwaway(origin=f"http://{number % 3}.test", kind="requests.get")
    story.summary()
    saved = [from_json(to_json(record)) for record in story.records]
    assert text.render(overview.of(saved)) == text.render(overview.of(story.records))
    assert json_report.render(overview.of(saved)) == json_report.render(overview.of(story.records))


def test_origins_and_call_sites_are_capped() -> None:
    story = Story()
    for number in range(CAP + 100):
        story.throwaway(origin=f"http://{number}.test", call_site=CallSite("load.py", number, "main"))
    drawn = overview.of(story.records)
    assert drawn.capped
    assert len(drawn.rows()) <= CAP + 1
    other = drawn.rows()[-1]
    assert (other.origin, other.requests, other.clients) == (OTHER, 100, 100)
    assert sum(row.requests for row in drawn.rows()) == CAP + 100
    assert "More than 1,000 origins or call sites" in text.render(drawn)


def test_one_client_of_very_many_origins() -> None:
    story = Story()
    client = story.client()
    for number in range(CAP + 100):
        story.exchange(client, story.connect(client, f"http://{number}.test"))
    drawn = overview.of(story.records)
    assert sum(row.requests for row in drawn.rows()) == CAP + 100
    assert sum(row.clients for row in drawn.rows()) <= CAP + 1


def test_many_clients_one_after_the_other_of_very_many_origins() -> None:
    """Each keeps its rows after its end: those of the first few all of them."""
    story = Story()
    for _ in range(FEW + 1):
        client = story.client()
        for number in range(ROWS_OF_A_CLIENT + 10):
            story.exchange(client, story.connect(client, f"http://{number}.test"))
        story.close(client)
    rows = overview.of(story.records).rows()
    assert sum(row.requests for row in rows) == (FEW + 1) * (ROWS_OF_A_CLIENT + 10)
    assert sum(row.clients for row in rows) == FEW * (ROWS_OF_A_CLIENT + 10) + ROWS_OF_A_CLIENT


def test_error_names_are_capped() -> None:
    story = Story()
    client = story.client()
    for number in range(MAX_NAMES + 10):
        story.failure(client, error=f"made.up.Error{number}")
    (row,) = overview.of(story.records).rows()
    assert len(row.errors) == MAX_NAMES + 1
    assert row.errors["other"] == 10


@pytest.mark.load
def test_memory_does_not_grow_with_the_number_of_connections() -> None:
    drawn = Overview()

    def run(number: int) -> None:
        for _ in range(number):
            story.throwaway(kind="requests.get", requests=2)
            for record in story.records:
                drawn.add(record)
            story.records.clear()

    story = Story()
    run(2 * RECENT)
    tracemalloc.start()
    try:
        run(5_000)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # What it remembered last time is replaced by new objects, which tracemalloc counts as growth.
    assert grown < 5_000_000
    assert len(drawn._clients._past) == len(drawn._past_connections) == RECENT
    assert not drawn._clients._open
    assert not drawn._open


def many_open(number: int, inherited: bool) -> tuple[Story, list[Connection], list[Exchange]]:
    """As many connections, on each of which an answer is being read."""
    story = Story()
    client = story.client()
    connections, reading = [], []
    for _ in range(number):
        connection = story.connect(client, inherited=inherited)
        exchange = replace(
            story.exchange(client, connection), finished_at=None, body_complete=None, state="reading"
        )
        story.records[-1] = exchange
        connections.append(connection)
        reading.append(exchange)
    return story, connections, reading


@pytest.mark.parametrize("inherited", [False, True])
def test_more_open_connections_than_are_followed_are_counted_to_their_end(inherited: bool) -> None:
    number = OPEN + RECENT + 500
    story, connections, reading = many_open(number, inherited)
    opened = 0 if inherited else number
    story.records += connections  # as at the end of a run: what is open is written again
    seen = overview.of(story.records)
    assert (seen.still_open, len(seen.in_progress())) == (opened, number)
    for exchange in reading:
        seen.add(replace(exchange, finished_at=story.now, body_complete=True, state=None))
    for connection in connections:
        seen.add(replace(connection, closed_at=story.now, close_reason="client_close", closed_by="client"))
    (row,) = seen.rows()
    tally = seen.all_connections()[row]
    assert (seen.still_open, seen.in_progress()) == (0, [])
    assert (tally.opened, tally.inherited) == (opened, number - opened)
    assert tally.closes == ({} if inherited else {"client_close": number})
    assert row.requests == number


def parent_and_child(requests: int) -> tuple[list[Record], list[Record]]:
    """A parent builds a client and perhaps uses it; its forked child sends two requests."""
    parent, child = Story(pid=1), Story(pid=2)
    parent.header()
    child.header(parent=1)
    built = parent.client()
    inherited = replace(child.client(), created_at=None, construction_time=None, inherited_from=built.id)
    child.records[-1] = inherited
    for story, client, number in ((parent, built, requests), (child, inherited, 2)):
        if number:
            connection = story.connect(client)
            for _ in range(number):
                story.exchange(client, connection)
            story.disconnect(connection)
        story.close(client, number)
    return parent.records, child.records


@pytest.mark.parametrize("used", [0, 1])
def test_a_client_of_several_processes_counts_once_whatever_comes_first(used: int) -> None:
    parent, child = parent_and_child(used)
    alternately = [record for both in zip_longest(parent, child) for record in both if record is not None]
    for records in (parent + child, child + parent, alternately):
        seen = overview.of(records)
        (row,) = seen.rows()
        assert (seen.clients, seen.clients_unused, row.clients) == (1, 0, 1)
        assert seen.construction == row.construction == pytest.approx(0.01)
        assert row.requests == used + 2


def test_an_inherited_client_counts_even_without_its_parents_records() -> None:
    _, child = parent_and_child(0)
    seen = overview.of(child)
    (row,) = seen.rows()
    assert (seen.clients, row.clients, seen.construction) == (1, 1, 0.0)


def test_json_has_stable_keys() -> None:
    story = Story()
    story.header()
    for _ in range(5):
        story.throwaway()
    story.summary()
    report = json.loads(json_report.render(overview.of(story.records)))
    assert list(report) == ["version", "processes", "totals", "origins", "routes", "findings", "not_seen"]
    assert report["totals"]["requests"] == 5
    assert report["totals"]["connections"] == {"opened": 5, "failed": 0, "open_before": 0, "inherited": 0}
    (origin,) = report["origins"]
    (row,) = origin["clients"]
    assert (origin["origin"], row["kind"], row["clients"], row["reuse_ratio"]) == (
        ORIGIN,
        "httpx.Client",
        5,
        0.0,
    )
    assert row["call_site"] == {"file": LINE.file, "line": LINE.line, "function": LINE.function}
    assert row["close_reasons"] == {"client_close": 5}
    assert (row["lanes"]["of"], len(row["lanes"]["shown"])) == (5, 5)
    (finding,) = report["findings"]
    assert (finding["code"], finding["count"]) == ("PS101", 5)


def test_json_of_nothing() -> None:
    report = json.loads(json_report.render(Overview()))
    assert (report["origins"], report["findings"], report["totals"]["reuse_ratio"]) == ([], [], None)


def test_records_that_come_too_early_do_no_harm() -> None:
    story = Story()
    client = Client(1, 7, "httpx.Client", None, None, None, None)
    story.close(client)
    story.disconnect(Connection(1, 9, 7, None, ORIGIN, None))
    story.exchange(None, None)
    drawn = overview.of(story.records)
    assert sum(row.requests for row in drawn.rows()) == 1
    assert text.render(drawn)
