"""The report's first sentence is right, about sick programs and healthy ones."""

from __future__ import annotations

from poolscope.records import CallSite, Record
from poolscope.reports import overview, text
from tests.reports.stories import Story


def verdict(records: list[Record]) -> str:
    """The report's first sentence, on one line."""
    first = text.render(overview.of(records), width=300).splitlines()[0]
    assert first.startswith("poolscope  ")
    return first.removeprefix("poolscope  ")


def throwaways(story: Story, number: int, **changes: object) -> None:
    for _ in range(number):
        story.throwaway(kind="requests.get", exchange=changes)


def test_a_client_for_every_request() -> None:
    story = Story()
    story.header()
    throwaways(story, 160)
    story.summary()
    assert verdict(story.records) == (
        "0 % of 160 requests reused a connection: 160 clients, one request each; 4.00 s of 5.60 s, 25 ms of each request, went into clients"
        " and connections thrown away; 1 place to change: load.py:12."
    )


def test_two_places() -> None:
    story = Story()
    for line in (1, 2):
        for _ in range(5):
            story.throwaway(call_site=CallSite(f"/srv/app/load{line}.py", line, "fetch"))
    assert verdict(story.records).endswith("; 2 places to change: load1.py:1, load2.py:2.")


def test_lines_of_one_finding_are_places() -> None:
    story = Story()
    for line in (1, 2):
        for _ in range(5):
            story.throwaway(call_site=CallSite("/srv/app/load.py", line, "fetch"))
    assert verdict(story.records).endswith("; 1 place to change: load.py:1.")


def test_an_unknown_line_is_a_place_too() -> None:
    story = Story()
    for _ in range(5):
        story.throwaway(kind="requests.get", call_site=None)
    assert verdict(story.records).endswith("; 1 place to change.")


def test_all_is_well() -> None:
    story = Story()
    story.header()
    client = story.client()
    connection = story.connect(client)
    for _ in range(1_000):
        story.exchange(client, connection)
    story.disconnect(connection, close_time=0.005)
    story.summary()
    assert verdict(story.records) == (
        "99.9 % of 1,000 requests reused a connection; 25 ms of 10.0 s went into building clients, setup and"
        " closing; no finding."
    )


def test_seconds_of_several_threads_are_named_as_sums() -> None:
    story = Story()
    story.header()
    for thread in (1, 2, 3):
        throwaways(story, 5, thread=thread)
    story.summary()
    assert "; 375 ms (summed over 3 threads; the run took 525 ms), 25 ms of each request, went" in verdict(
        story.records
    )


def test_tasks_and_processes_are_called_by_name() -> None:
    tasks = Story()
    for task in ("a", "b"):
        throwaways(tasks, 3, thread=1, task=task)
    assert "(summed over 2 tasks)" in verdict(tasks.records)
    processes = [Story(pid=1), Story(pid=2)]
    for story in processes:
        throwaways(story, 3, thread=1)
    assert "(summed over 2 processes)" in verdict([record for story in processes for record in story.records])


def test_one_thread_is_no_sum() -> None:
    story = Story()
    throwaways(story, 5, thread=1)
    assert "summed" not in verdict(story.records)


def test_failures_and_requests_in_progress_come_before_praise() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    story.failure(client)
    story.exchange(client, connection, finished_at=None, status=None, state="awaiting_headers")
    said = verdict(story.records)
    assert said.endswith("; 1 request failed; 1 request not over; no finding.")


def test_the_line_that_waited_long_is_named() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    story.exchange(client, connection, pool_wait=0.3, call_site=CallSite("/srv/app/load.py", 31, "fetch"))
    shown = text.render(overview.of(story.records))
    assert "load.py:31 in fetch  1 × waited long" in shown


def test_streams_that_joined_do_not_lower_the_reuse() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    for _ in range(4):
        story.exchange(client, connection, reused=False, joined=connection.requests > 0)
    assert "0 % of 4 requests reused a connection, 3 joined a connection during its setup;" in verdict(
        story.records
    )


def test_no_request_got_a_connection() -> None:
    story = Story()
    story.failure(story.client())
    assert verdict(story.records).startswith("The only request failed before it had a connection;")
    assert "1 request failed" not in verdict(story.records), "said once"
    story.failure(story.client())
    assert verdict(story.records).startswith("All 2 requests failed before they had a connection;")


def test_a_server_that_closes_is_nothing_to_change_in_the_program() -> None:
    story = Story()
    client = story.client()
    for _ in range(12):
        connection = story.connect(client)
        story.exchange(client, connection)
        story.disconnect(connection, "connection_close_header", closed_by="server", requests=1)
    said = verdict(story.records)
    assert said.endswith(
        "; nothing to change in the program; the change is at the server or on the way to it."
    )


def test_waiting_for_a_connection_is_part_of_it() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    for wait in (0.02, 0.04):
        story.exchange(client, connection, pool_wait=wait)
    assert (
        "; 2 requests waited for a connection, 60 ms in all and at most 40 ms each; no finding."
        in verdict(story.records)
    )
    short = Story()
    short.exchange(client, short.connect(short.client()), pool_wait=0.04)
    assert "waited" not in verdict(short.records)


def test_responses_that_are_still_open_are_named_with_their_line() -> None:
    story = Story()
    client = story.client()
    for _ in range(2):
        connection = story.connect(client)
        story.exchange(
            client,
            connection,
            finished_at=None,
            state="reading",
            call_site=CallSite("/srv/app/load.py", 9, "fetch"),
        )
    assert "; 2 responses still open, sent by load.py:9; no finding." in verdict(story.records)


def test_no_reuse_and_no_finding_is_no_praise() -> None:
    story = Story()
    client = story.client()
    for number in range(5):
        story.exchange(
            client, story.connect(client, f"http://h{number}.test"), origin=f"http://h{number}.test"
        )
    said = verdict(story.records)
    assert said.startswith("0 % of 5 requests reused a connection: 5 servers, one request each;")
    assert said.endswith("; no finding.")
    assert "worth" not in said


def test_clients_and_connections_of_one_request_each() -> None:
    clients = Story()
    for loop in range(5):
        clients.throwaway(loop=loop)
    assert "reused a connection: 5 clients, one request each;" in verdict(clients.records)
    connections = Story()
    client = connections.client()
    for _ in range(5):
        connections.exchange(client, connections.connect(client))
    assert "reused a connection: 5 connections, one request each;" in verdict(connections.records)


def test_an_ignored_finding_is_no_all_clear() -> None:
    story = Story()
    throwaways(story, 5)
    seen = overview.of(story.records)
    seen.shows = lambda finding: finding.code != "PS101"
    assert "; no finding, but 1 ignored or accepted." in " ".join(text.render(seen, width=300).split())


def test_a_single_request_has_no_share() -> None:
    story = Story()
    client = story.client()
    story.exchange(client, story.connect(client))
    assert verdict(story.records).startswith("1 request, on a new connection;")


def test_findings_for_information_are_counted_and_named() -> None:
    story = Story()
    client = story.client()
    for _ in range(12):
        connection = story.connect(client, connect=0.001)
        story.exchange(client, connection, took=1.0)
        story.disconnect(connection, "timeout", requests=1, error="httpx.ReadTimeout")
    (finding,) = [found for found in overview.of(story.records).findings() if found.code == "PS121"]
    assert finding.severity == "info"
    assert verdict(story.records).endswith("; 1 finding, for information: PS121.")


def test_a_cancelled_request_has_not_failed() -> None:
    story = Story()
    client = story.client()
    for error in ("asyncio.exceptions.CancelledError", "trio.Cancelled", "httpx.ReadError"):
        story.exchange(client, story.connect(client), error=error, status=None)
    assert "; 1 request failed; 2 requests were cancelled; " in verdict(story.records)
    shown = text.render(overview.of(story.records))
    assert "failed   1 × ReadError\n" in shown
    assert "gave up  1 × CancelledError · 1 × Cancelled\n" in shown


def test_answers_that_mean_trouble_are_said_before_anybody_is_content() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    for status in (200, 404, 503, 503, 429):
        story.exchange(client, connection, status=status)
    assert "; 3 requests got status 429 or 503; no finding." in verdict(story.records)


def test_a_request_that_waited_alone_is_one_number() -> None:
    story = Story()
    client = story.client()
    story.exchange(client, story.connect(client), pool_wait=0.06)
    assert "; 1 request waited 60 ms for a connection; no finding." in verdict(story.records)


def test_a_wait_for_a_stream_is_called_so() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    for _ in range(2):
        story.exchange(client, connection, pool_wait=0.06, waited_for="stream")
    assert "; 2 requests waited for a stream of an HTTP/2 connection, 120 ms in all" in verdict(story.records)
