"""Facts in, records out: the order, the totals, and nothing kept after its end."""

from __future__ import annotations

import pytest

from poolscope import facts, ledger, records
from poolscope.facts import BEGUN, ENDED, OPENED
from poolscope.queue import FACTS
from poolscope.story import live
from poolscope.story.live import LIVE

ORIGIN = (b"http", b"api.test", None)


class Story:
    """A ledger, the records it yielded, and short methods to state facts."""

    def __init__(self):
        self.said: list[records.Record] = []
        self.ledger = ledger.Ledger(self.said.append)

    def client(self, kind="requests.Session"):
        sheet = facts.Client(kind, 0, created_at=1.0)
        LIVE.clients[sheet.id] = sheet
        self.ledger.consume(BEGUN, sheet)
        return sheet

    def connection(self, requests=0):
        sheet = facts.Connection(ORIGIN, 0)
        sheet.setup_started_at, sheet.opened_at, sheet.requests = 1.0, 1.5, requests
        LIVE.connections[sheet.id] = sheet
        self.ledger.consume(BEGUN, sheet)
        self.ledger.consume(OPENED, sheet)
        return sheet

    def exchange(self, client=None, connection=None):
        sheet = facts.Exchange(ORIGIN, 0, started_at=2.0)
        sheet.client = client and client.id
        LIVE.begins(sheet)
        sheet.connection = connection
        if connection is not None:
            connection.unsettled.add(sheet.id)
        return sheet

    def end(self, sheet, at=3.0):
        setattr(sheet, "finished_at" if isinstance(sheet, facts.Exchange) else "closed_at", at)
        self.ledger.consume(ENDED, sheet)

    def types(self):
        return [record.type for record in self.said]


@pytest.fixture
def story():
    LIVE.reset()
    yield Story()
    LIVE.reset()


def test_the_close_of_a_connection_is_reported_after_its_last_exchange(story):
    connection = story.connection(requests=1)
    exchange = story.exchange(connection=connection)
    connection.close_trigger = "client"

    story.end(connection)  # httpcore closes it before the response body's close has returned
    assert story.types() == ["connection"]
    story.end(exchange)

    assert story.types() == ["connection", "exchange", "connection"]
    assert story.said[-1].close_reason == "client_close"
    assert not LIVE.connections


def test_a_close_without_the_end_of_its_exchange_is_reported_at_the_end(story):
    connection = story.connection(requests=1)
    story.exchange(connection=connection)
    story.end(connection)
    story.ledger.close()
    assert story.types() == ["connection", "exchange", "connection"]
    assert (story.said[1].finished_at, story.said[1].state) == (None, "sending")


def test_a_close_does_not_wait_for_an_exchange_that_went_elsewhere(story):
    left = story.connection(requests=2)
    story.end(story.exchange(connection=left))
    refused = story.exchange(connection=left)
    left.unsettled.discard(refused.id)
    story.end(left, at=4.0)  # GOAWAY: the exchange that was on it is sent again
    assert story.types() == ["connection", "exchange", "connection"]
    assert story.said[-1].closed_at == 4.0
    taken = story.connection()
    refused.connection, refused.failed_attempts = taken, 1
    story.end(refused, at=5.0)
    assert story.types()[-2:] == ["connection", "exchange"]


def test_goaway_is_the_reason_whatever_failed_by_it(story):
    connection = story.connection()
    connection.close_trigger, connection.goaway, connection.http_version = "exchange", True, "2"
    connection.error, connection.eof = "RemoteProtocolError", True
    story.end(connection)

    assert (story.said[-1].close_reason, story.said[-1].closed_by) == ("http2_goaway", "server")


def test_a_client_that_closes_after_goaway_has_closed_it(story):
    connection = story.connection()
    connection.close_trigger, connection.goaway = "client", True
    story.end(connection)

    assert (story.said[-1].close_reason, story.said[-1].closed_by) == ("client_close", "client")


def test_a_failed_setup_is_one_record_without_a_close_reason(story):
    connection = facts.Connection(ORIGIN, 0)
    connection.setup_started_at, connection.failed_phase, connection.error = (
        1.0,
        "connect",
        "ConnectionRefusedError",
    )
    connection.phases = [("dns", 1.0, 1.25), ("connect", 1.25, 1.5)]
    story.ledger.consume(BEGUN, connection)
    story.end(connection, at=1.5)

    (record,) = story.said
    assert record.failed_phase == "connect"
    assert record.close_reason is None
    assert record.opened_at is None
    assert record.setup["dns"] == records.Phase(1.0, 0.25)
    assert record.setup["total"] == records.Phase(1.0, 0.5)


def test_a_phase_that_ran_twice_keeps_its_first_start_and_the_sum(story):
    connection = facts.Connection(ORIGIN, 0)
    connection.setup_started_at, connection.opened_at = 1.0, 4.0
    connection.phases = [("connect", 1.0, 2.0), ("connect", 3.0, 3.5)]
    story.ledger.consume(OPENED, connection)
    assert story.said[0].setup["connect"] == records.Phase(1.0, 1.5)


def test_a_connection_from_before_the_ledger_is_introduced_by_its_first_exchange(story):
    connection = facts.Connection(ORIGIN, 0)
    connection.requests = 7
    story.ledger.reset()
    story.end(story.exchange(connection=connection))
    story.end(story.exchange(connection=connection))

    assert story.types() == ["connection", "exchange", "exchange"]
    assert story.said[0].opened_at is None


def test_a_client_is_reported_with_its_requests(story):
    client = story.client()
    for _ in range(3):
        story.end(story.exchange(client))
    client.close_kind = "close"
    story.end(client)

    opened, *_, closed = story.said
    assert (opened.requests, opened.closed_at) == (0, None)
    assert (closed.requests, closed.close_kind) == (3, "close")
    assert not LIVE.clients


def test_a_client_that_was_not_closed_is_reported_as_open_at_exit(story):
    story.client()
    story.ledger.close()
    assert story.said[-1].close_kind == "open_at_exit"
    assert story.said[-1].closed_at is None


def test_a_forked_child_does_not_report_its_parents_requests(story, monkeypatch):
    exchange = story.exchange(connection=story.connection())
    monkeypatch.setattr(FACTS, "epoch", 1)
    LIVE.reset()
    story.ledger.reset()
    story.end(exchange)
    assert (story.ledger.requests, story.types()) == (0, ["connection"])
    assert not LIVE.connections


def test_in_flight_counts_exchanges_of_one_client_site_and_origin(story):
    client, other = story.client(), story.client()
    other.call_site = (test_in_flight_counts_exchanges_of_one_client_site_and_origin.__code__, 1)
    first, second, elsewhere = story.exchange(client), story.exchange(client), story.exchange(other)
    for sheet in (first, second, elsewhere):
        story.end(sheet)
    story.end(story.exchange(client))

    assert [r.in_flight for r in story.said if r.type == "exchange"] == [1, 2, 1, 1]


def test_pools_end_with_their_client(story):
    client = story.client()
    for owner in (client.id, None):
        pool = facts.Pool(0, owner)
        story.ledger.consume(BEGUN, pool)
    assert len(LIVE.pools) == 2
    story.end(client)
    assert [pool.client for pool in LIVE.pools.values()] == [None]


def test_a_hook_that_switched_itself_off_is_remembered(story):
    for disabled in (False, False, True):
        story.ledger.consume(BEGUN, facts.HookFailure("urllib3.put_conn", "KeyError", disabled))
    assert story.ledger.hooks_disabled == ["urllib3.put_conn"]
    assert story.ledger.hook_failures == 3


def test_live_things_are_bounded_when_their_ends_get_lost(story, monkeypatch):
    monkeypatch.setattr(live, "LIMIT", 5)
    newest = [story.exchange() for _ in range(20)][-5:]
    LIVE.bound()
    assert list(LIVE.exchanges.values()) == newest


def test_the_snapshot_says_who_waits_and_who_holds(story):
    connection = story.connection()
    holder, waiter = story.exchange(connection=connection), story.exchange()
    holder.method, holder.sent_at = b"GET", 2.5
    connection.in_flight.add(holder.id)
    idle = story.connection()

    snapshot = story.ledger.snapshot()

    assert [(held.exchange, held.connection, held.state) for held in snapshot.holders] == [
        (holder.id, connection.id, "awaiting_headers")
    ]
    assert [waiting.exchange for waiting in snapshot.waiters] == [waiter.id]
    assert {live.id: live.state for live in snapshot.connections} == {
        connection.id: "active",
        idle.id: "idle",
    }


def test_a_record_made_at_the_beginning_does_not_contain_the_end(story):
    client, connection = facts.Client("requests.get", 0, created_at=1.0), facts.Connection(ORIGIN, 0)
    client.closed_at, client.close_kind = 3.0, "close"
    connection.opened_at, connection.closed_at, connection.close_time = 1.5, 2.5, 0.1
    connection.close_trigger = "client"
    for sheet, moment in ((client, BEGUN), (connection, OPENED), (connection, ENDED), (client, ENDED)):
        story.ledger.consume(moment, sheet)  # drained late: the sheets are complete by then

    assert [record.closed_at for record in story.said] == [None, None, 2.5, 3.0]
    assert [record.close_kind for record in story.said if record.type == "client"] == [None, "close"]
    ends = [(record.close_reason, record.closed_by, record.close_time) for record in story.said[1:3]]
    assert ends == [(None, None, None), ("client_close", "client", 0.1)]


def test_what_ended_before_the_drain_is_not_live_again(story):
    client, connection = facts.Client("requests.get", 0, created_at=1.0), facts.Connection(ORIGIN, 0)
    story.ledger.consume(BEGUN, client)
    story.ledger.consume(BEGUN, connection)
    assert not LIVE.clients
    assert not LIVE.connections
