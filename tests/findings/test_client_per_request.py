"""PS101: it fires where a client is built per request, and nowhere else; each number just below and above."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from poolscope.findings import find
from poolscope.findings.client_per_request import (
    DOMINATING,
    MAX_CALLS,
    MAX_LEAVING,
    MIN_CLIENTS,
    SILENT_SHARE,
    ClientPerRequest,
)
from poolscope.findings.habits import MAX_HABITS
from poolscope.findings.lives import DEFAULT_KEEPALIVE, KEEPS_ALIVE, MOST_CALLS
from poolscope.ledger.closing import REASONS
from poolscope.records import CallSite, Client, Connection, Exchange, Finding, Record
from tests.reports.stories import LINE, ORIGIN, Story


def found(story: Story) -> list[Finding]:
    return found_in(story.records)


def found_in(records: list[Record]) -> list[Finding]:
    return [finding for finding in find(records) if finding.code == "PS101"]


def feed(rule: ClientPerRequest, record: Record) -> None:
    """Pass a record to what reads its kind."""
    reader = getattr(rule, record.type, None)
    if reader is not None:
        reader(record)


def throwaways(number: int, **what: Any) -> Story:
    story = Story()
    for _ in range(number):
        story.throwaway(**what)
    return story


def test_fires_with_its_line_and_count() -> None:
    (finding,) = found(throwaways(10))
    assert (finding.code, finding.title) == ("PS101", "client per request")
    assert (finding.origin, finding.call_site, finding.sdk_call_site) == (ORIGIN, LINE, None)
    assert (finding.pid, finding.count) == (100, 10)


def test_clients_below_and_at_the_threshold() -> None:
    assert not found(throwaways(MIN_CLIENTS - 1))
    assert len(found(throwaways(MIN_CLIENTS))) == 1


def test_requests_per_client_at_and_above_the_threshold() -> None:
    assert len(found(throwaways(10, requests=MAX_CALLS, built_in=0.0))) == 1
    assert not found(throwaways(10, requests=MAX_CALLS + 1, built_in=0.0))


@pytest.mark.parametrize("requests", [MAX_CALLS + 1, 10, MOST_CALLS])
def test_clients_that_take_longer_to_build_than_they_work(requests: int) -> None:
    work = 0.01 * requests - 0.01  # an exchange that connects waits for it
    rest = 0.01 + 0.005  # connect and close
    threshold = work * DOMINATING / (1 - DOMINATING) - rest
    assert len(found(throwaways(10, requests=requests, built_in=threshold + 0.001))) == 1
    assert not found(throwaways(10, requests=requests, built_in=threshold - 0.001))
    assert not found(throwaways(10, requests=MOST_CALLS + 1, built_in=10.0))


def test_a_redirect_is_no_further_request_of_the_user() -> None:
    story = Story()
    for _ in range(5):
        client = story.client()
        connection = story.connect(client)
        before = story.exchange(client, connection, status=302)
        for _ in range(MAX_CALLS + 1):
            before = story.exchange(client, connection, previous=before.id, relation="redirect")
        story.disconnect(connection)
        story.close(client)
    assert found(story)[0].count == 5


def polling(pause: float, times: int, keepalive: float | None = None) -> Story:
    """Throwaway clients, each of which sends its requests ``pause`` seconds after the end of the request before."""
    story = Story()
    for _ in range(times):
        client = story.client(built_in=0.0)
        story.pool(client, keepalive)
        connection = story.connect(client, connect=0.0)
        story.exchange(client, connection)
        story.disconnect(connection)
        story.close(client)
        story.now += pause
    return story


def test_pause_up_to_the_keepalive_time() -> None:
    assert len(found(polling(DEFAULT_KEEPALIVE - 0.001, 5))) == 1
    assert not found(polling(DEFAULT_KEEPALIVE + 0.001, 5))
    assert len(found(polling(59.999, 5, keepalive=60.0))) == 1
    assert not found(polling(60.001, 5, keepalive=60.0))
    assert not found(polling(0.001, 5, keepalive=0.0))


def test_a_poll_every_ten_minutes_is_no_finding() -> None:
    assert not found(polling(600.0, 100))


def test_two_must_have_followed_another() -> None:
    story = polling(600.0, 10)
    story.throwaway(close_time=None)
    story.throwaway(close_time=None)
    assert not found(story)  # only the second of these two followed
    story.throwaway(close_time=None)
    assert len(found(story)) == 1


def test_only_those_that_followed_are_saved() -> None:
    story = polling(600.0, 1_000)
    for _ in range(3):
        story.throwaway()
    (finding,) = found(story)
    assert finding.count == 1_003
    assert finding.saving == pytest.approx(2 * (0.01 + 0.01 + 0.005))


def test_cost_is_building_setup_and_closing_and_saving_leaves_out_the_first() -> None:
    (finding,) = found(throwaways(11, close_time=0.005))
    assert finding.cost == pytest.approx(11 * (0.01 + 0.01 + 0.005))
    assert finding.saving == pytest.approx(10 * (0.01 + 0.01 + 0.005))


def test_what_was_not_observed_costs_nothing() -> None:
    (finding,) = found(throwaways(11, close_time=None))
    assert finding.cost == pytest.approx(11 * (0.01 + 0.01))


def parallel(rounds: int, width: int, peak: int | None = -1) -> Story:
    """``rounds`` times ``width`` throwaway clients at the same time."""
    story = Story()
    for _ in range(rounds):
        start = story.now
        for slot in range(width):
            story.now = start
            client = story.client()
            connection = story.connect(client)
            story.exchange(client, connection, in_flight=slot + 1 if peak == -1 else peak)
            story.disconnect(connection)
            story.close(client)
    return story


def test_as_many_as_the_peak_in_flight_are_not_avoidable() -> None:
    assert not found(parallel(1, 50))
    (finding,) = found(parallel(10, 5))
    assert finding.count == 50
    cost_of_one = 0.01 + 0.01
    assert finding.cost == pytest.approx(50 * cost_of_one)
    assert finding.saving is None


def test_what_was_built_side_by_side_has_no_saving() -> None:
    story = Story()
    for _ in range(10):
        start = story.now
        for _ in range(4):
            story.now = start
            client = story.client(built_in=1.0)
            connection = story.connect(client, connect=0.0)
            story.exchange(client, connection, took=0.001, in_flight=1)
            story.disconnect(connection)
            story.close(client)
    (finding,) = found(story)
    assert finding.cost == pytest.approx(40.0)
    assert finding.saving is None


def test_avoidable_below_and_at_the_threshold() -> None:
    story = throwaways(4, exchange={"in_flight": 3})
    assert not found(story)
    story.throwaway(exchange={"in_flight": 3})
    assert len(found(story)) == 1


def test_a_client_that_failed_still_counts_in_the_peak() -> None:
    story = throwaways(5)
    story.throwaway(exchange={"in_flight": 4, "error": "httpx.ReadTimeout", "status": None})
    assert not found(story)


def test_without_the_peak_there_is_a_finding_but_no_saving() -> None:
    (finding,) = found(throwaways(5, exchange={"in_flight": None}))
    assert finding.cost is not None
    assert finding.saving is None


def test_a_loop_inside_one_client_is_no_finding() -> None:
    assert not found(throwaways(1, requests=1_000))


def test_a_loop_inside_a_client_called_again_and_again_is_no_finding() -> None:
    assert not found(throwaways(20, requests=50))


def test_one_script_long_client_is_no_finding() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    for _ in range(100):
        story.exchange(client, connection)
    assert not found(story)


def test_clients_still_held_are_no_finding() -> None:
    story = Story()
    clients = [story.client() for _ in range(10)]
    for client in clients:
        story.exchange(client, story.connect(client))
    assert not found(story)
    for client in clients:
        story.close(client, closed_at=None, close_kind="open_at_exit")
    assert not found(story)


def test_collected_clients_are_one_finding_in_any_order() -> None:
    story = Story()
    clients = [story.client() for _ in range(10)]
    for client in clients:
        story.exchange(client, story.connect(client))
    for client in reversed(clients):
        story.close(client, close_kind="gc")
    (finding,) = found(story)
    assert finding.count == 10
    assert finding.saving == pytest.approx(9 * (0.01 + 0.01))


def test_five_calls_to_five_hosts_are_no_finding() -> None:
    story = Story()
    for number in range(5):
        story.throwaway(origin=f"http://host{number}.test", kind="requests.get")
    assert not found(story)


def test_five_lines_with_a_call_each_are_no_finding() -> None:
    story = Story()
    for number in range(5):
        story.throwaway(call_site=CallSite("load.py", number, "main"))
    assert not found(story)


def test_one_client_per_event_loop_is_no_finding() -> None:
    story = Story()
    for number in range(20):
        story.throwaway(kind="httpx.AsyncClient", loop=number)
    assert not found(story)


@pytest.mark.parametrize("kind", ["requests.get", "httpx.Client", "urllib3.PoolManager"])
def test_clients_that_need_no_loop_can_be_shared_by_several(kind: str) -> None:
    story = Story()
    for number in range(20):
        story.throwaway(kind=kind, loop=number)
    (finding,) = found(story)
    assert finding.count == 20
    assert finding.saving == pytest.approx(19 * 0.025)


def test_different_credentials_are_no_finding() -> None:
    story = Story()
    for number in range(20):
        story.throwaway(settings=number)
    assert not found(story)


def late(reason: str) -> Story:
    """Connections that are closed after their client, as requests does."""
    story = Story()
    for _ in range(10):
        client = story.client()
        connection = story.connect(client)
        story.exchange(client, connection)
        story.close(client)
        story.now += 0.005
        story.disconnect(connection, reason, close_time=0.005)
    return story


def test_a_connection_may_be_closed_after_its_client() -> None:
    (finding,) = found(late("client_close"))
    assert finding.cost == pytest.approx(10 * (0.01 + 0.01 + 0.005))
    assert not found(late("connection_close_header"))


def test_connections_that_nobody_closes_count_as_kept() -> None:
    story = late("client_close")
    story.records = [
        record for record in story.records if not (isinstance(record, Connection) and record.closed_at)
    ]
    rule = ClientPerRequest()
    for record in story.records:
        feed(rule, record)
        rule.findings()
    (finding,) = rule.findings()
    assert finding.count == 10
    assert rule.findings() == found(story) == [finding]


def test_clients_that_leave_are_bounded() -> None:
    story = Story()
    for _ in range(MAX_LEAVING + 10):
        client = story.client()
        story.exchange(client, story.connect(client))
        story.close(client)
    rule = ClientPerRequest()
    for record in story.records:
        feed(rule, record)
    assert len(rule._leaving) == MAX_LEAVING
    assert rule.findings()[0].count == MAX_LEAVING + 10


def test_unknown_settings_are_no_finding() -> None:
    assert not found(throwaways(20, settings=None))


def test_settings_may_become_known_late() -> None:
    story = Story()
    for _ in range(5):
        story.throwaway()
    opened = set()
    for at, record in enumerate(story.records):
        if isinstance(record, Client) and record.id not in opened:
            opened.add(record.id)
            story.records[at] = replace(record, settings=None)
    assert len(found(story)) == 1


def test_processes_are_distinguished() -> None:
    records = []
    for pid in range(10):
        story = Story(pid=pid)
        for _ in range(MIN_CLIENTS - 1):
            story.throwaway()
        records += story.records
    assert not found_in(records)


def test_clients_alive_before_we_looked_are_no_finding() -> None:
    story = throwaways(5)
    known = [
        replace(record, created_at=None) if isinstance(record, Client) else record for record in story.records
    ]
    assert not found_in(known)


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_server_that_does_not_keep_connections(reason: str) -> None:
    assert bool(found(throwaways(10, reason=reason))) is (reason in KEEPS_ALIVE)


def test_a_server_that_refuses_more_than_it_keeps() -> None:
    story = throwaways(5)
    for _ in range(5):
        story.throwaway(reason="connection_close_header")
    assert len(found(story)) == 1
    story.throwaway(reason="connection_close_header")
    assert not found(story)


def test_a_server_that_closes_without_a_word() -> None:
    story = throwaways(20)
    for silent in (2, 3):
        while (
            sum(getattr(record, "close_reason", None) == "server_closed_idle" for record in story.records)
            < silent
        ):
            client = story.client()
            connection = story.connect(client)
            story.exchange(client, connection)
            story.disconnect(connection, "server_closed_idle", idle_since=story.now)
            story.close(client)
        assert 2 / 20 == SILENT_SHARE
        assert bool(found(story)) is (silent == 2)


def test_a_long_lived_client_in_ten() -> None:
    story = throwaways(9)
    story.throwaway(requests=100)
    assert len(found(story)) == 1
    story.throwaway(requests=100)
    assert not found(story)


@pytest.mark.parametrize(
    "exchange",
    [{"error": "httpx.ReadTimeout"}, {"status": None}, {"body_complete": False}, {"connection": None}],
    ids=lambda exchange: next(iter(exchange)),
)
def test_requests_that_did_not_end_well_prove_nothing(exchange: dict[str, Any]) -> None:
    assert not found(throwaways(10, exchange=exchange))


def test_a_call_without_a_line_is_a_finding_without_one() -> None:
    (finding,) = found(throwaways(10, call_site=None, kind="requests.get"))
    assert (finding.call_site, finding.sdk_call_site) == (None, None)
    assert "requests.Session()" in finding.fix


def test_many_lines_of_one_module_are_one_finding() -> None:
    story = Story()
    for line in (30, 10, 20):
        for _ in range(4):
            story.throwaway(call_site=CallSite("load.py", line, "main"))
    story.throwaway(call_site=CallSite("load.py", 10, "main"))
    for _ in range(4):
        story.throwaway(call_site=CallSite("other.py", 10, "main"))
    first, second = found(story)
    assert (first.count, first.call_site) == (13, CallSite("load.py", 10, "main"))
    assert first.notes == ["Also at line 20, 30 of the same file."]
    assert (second.count, second.notes) == (4, [])


@pytest.mark.parametrize("file", ["tests/conftest.py", "tests/test_load.py", "load_test.py"])
def test_the_line_of_a_test_is_information(file: str) -> None:
    (finding,) = found(throwaways(10, call_site=CallSite(file, 10, "client")))
    assert finding.severity == "info"
    assert "fixture" in finding.notes[0]


def with_keepalive(gap: float, says: float | None) -> Story:
    story = Story()
    for _ in range(5):
        client = story.client(built_in=0.0)
        connection = story.connect(client, connect=0.0, server_keepalive=says)
        story.exchange(client, connection)
        story.disconnect(connection)
        story.close(client)
        story.now += gap
    return story


def test_a_server_that_says_how_long_it_keeps_connections() -> None:
    assert len(found(with_keepalive(1.999, says=2.0))) == 1
    assert not found(with_keepalive(2.001, says=2.0))
    assert len(found(with_keepalive(2.001, says=None))) == 1
    assert not found(with_keepalive(DEFAULT_KEEPALIVE + 0.001, says=60.0))


def test_a_server_that_was_seen_to_close_idle_connections() -> None:
    story = Story()
    other = story.client(call_site=CallSite("other.py", 1, "main"))
    idle = story.connect(other)
    story.exchange(other, idle)
    idle.idle_since = story.now
    story.now += 1.2
    story.disconnect(idle, "server_closed_idle")
    seen = with_keepalive(1.5, says=None).records
    assert not found_in([*story.records, *seen])
    assert len(found_in([*story.records, *with_keepalive(0.9, says=None).records])) == 1


def test_the_count_is_of_all_that_were_built() -> None:
    story = throwaways(19)
    story.throwaway(requests=100)
    story.throwaway(reason="connection_close_header")
    story.throwaway(exchange={"status": None})
    (finding,) = found(story)
    assert finding.count == 22


def test_the_parts_make_up_the_cost() -> None:
    (finding,) = found(throwaways(10))
    assert finding.parts == pytest.approx({"construction": 0.1, "connect": 0.1, "close": 0.05})
    assert finding.cost == pytest.approx(sum(finding.parts.values()))


def test_the_line_of_a_package_is_named_as_well() -> None:
    sdk = CallSite("/lib/site-packages/somesdk/http.py", 7, "_client")
    (finding,) = found(throwaways(10, sdk_call_site=sdk))
    assert (finding.call_site, finding.sdk_call_site) == (LINE, sdk)
    assert "somesdk/http.py:7" in finding.fix
    (finding,) = found(throwaways(10, call_site=None, sdk_call_site=sdk))
    assert (finding.call_site, finding.sdk_call_site) == (None, sdk)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("requests.get", "requests.Session()"),
        ("requests.get", "session.get(…)"),
        ("requests.post", "session.post(…)"),
        ("requests.Session", "one requests.Session where"),
        ("httpx.get", "httpx.Client()"),
        ("httpx2.get", "client.get(…)"),
        ("httpx.Client", "one httpx.Client where"),
        ("httpx.AsyncClient", "one httpx.AsyncClient per event loop"),
        ("urllib3.PoolManager", "one urllib3.PoolManager where"),
        ("urllib3.request", "pool.request(…)"),
    ],
)
def test_the_fix_uses_the_librarys_words(kind: str, words: str) -> None:
    (finding,) = found(throwaways(5, kind=kind))
    assert words in finding.fix
    assert kind in finding.sentence


def test_the_fix_names_the_pool_size_where_the_default_is_too_small() -> None:
    (small,) = found(throwaways(100, kind="requests.get", exchange={"in_flight": 10}))
    assert "pool_maxsize" not in small.fix
    (large,) = found(throwaways(100, kind="requests.get", exchange={"in_flight": 11}))
    assert "pool_maxsize=11" in large.fix


def asked_in_turn(kind: str, servers: int, times: int = 5, **exchange: Any) -> Story:
    """One line asks each server with a client of its own, and all of them again."""
    story = Story()
    for _ in range(times):
        for number in range(servers):
            story.throwaway(kind=kind, origin=f"http://host{number}.test", exchange=exchange)
    return story


@pytest.mark.parametrize(
    ("kind", "servers", "at_once", "words"),
    [
        ("requests.get", 10, 10, ""),
        ("requests.get", 11, 1, "It asks 11 servers: mount HTTPAdapter(pool_connections=11) on it."),
        ("requests.get", 11, 12, "at once: mount HTTPAdapter(pool_connections=11, pool_maxsize=12) on it."),
        ("urllib3.request", 10, 1, ""),
        ("urllib3.request", 11, 3, "It asks 11 servers, and up to 3 requests may be in flight at once: pass num_pools=11"),
        ("httpx.get", 20, 1, ""),
        ("httpx.get", 21, 1, "It asks 21 servers: pass limits=httpx.Limits(max_keepalive_connections=21)."),
        ("httpx.get", 3, 7, "pass limits=httpx.Limits(max_keepalive_connections=21)."),
    ],
)  # fmt: skip
def test_the_fix_makes_room_for_all_servers_of_a_line(
    kind: str, servers: int, at_once: int, words: str
) -> None:
    """Otherwise each of them pushes the others' connections out, and nothing is saved."""
    findings = found(asked_in_turn(kind, servers, 5 + at_once, in_flight=at_once))
    assert len(findings) == servers
    for finding in findings:
        if words:
            assert words in finding.fix
        else:
            assert "pool" not in finding.fix.rpartition("(…) on it.")[2]
            assert "pass" not in finding.fix


def test_the_fix_makes_room_for_servers_that_have_no_finding() -> None:
    story = asked_in_turn("requests.get", 3)
    for number in range(3, 12):
        story.throwaway(kind="requests.get", origin=f"http://host{number}.test")
    findings = found(story)
    assert len(findings) == 3
    assert all("pool_connections=12" in finding.fix for finding in findings)


def test_a_line_saves_with_all_its_servers() -> None:
    one_thread = found(asked_in_turn("requests.get", 4, times=11, thread=1))
    hosts = tuple(f"http://host{number}.test" for number in range(4))
    assert [finding.line_origins for finding in one_thread] == [hosts] * 4
    assert one_thread[0].saving == pytest.approx(10 * 0.025)
    assert one_thread[0].line_saving == pytest.approx(4 * 10 * 0.025)
    unknown = found(asked_in_turn("requests.get", 4, times=11, thread=None))
    assert unknown[0].line_saving == pytest.approx(10 * 0.025)
    (alone,) = found(throwaways(11))
    assert (alone.line_origins, alone.line_saving) == ((), None)


@pytest.mark.parametrize(("each", "named"), [("settings", "pool_connections=11"), ("loop", "")])
def test_a_shared_client_asks_the_servers_of_its_loop_with_any_credentials(each: str, named: str) -> None:
    """Credentials can be given to it with each request."""
    kind, servers = ("requests.get", 11) if named else ("httpx.AsyncClient", 21)
    story = Story()
    for _ in range(5):
        for number in range(servers):
            own: dict[str, Any] = {each: number + 1}
            story.throwaway(kind=kind, origin=f"http://host{number}.test", **own)
    findings = found(story)
    assert len(findings) == servers
    for finding in findings:
        assert named in finding.fix
        assert bool(named) is ("It asks" in finding.fix)


@pytest.mark.parametrize(("kind", "named"), [("requests.get", ""), ("urllib3.request", "num_pools=12")])
def test_a_session_has_room_for_each_scheme(kind: str, named: str) -> None:
    story = Story()
    for _ in range(5):
        for number in range(6):
            for scheme in ("http", "https"):
                story.throwaway(kind=kind, origin=f"{scheme}://host{number}.test")
    fixes = {finding.fix for finding in found(story)}
    assert len(fixes) == 1
    (fix,) = fixes
    assert named in fix
    assert ("pool" in fix.rpartition("(…) on it.")[2]) is bool(named)


def test_the_pool_is_large_enough_for_all_lines_that_are_busy_in_the_same_period() -> None:
    side_by_side, in_turn = Story(), Story()
    sites = [CallSite("load.py", number, "main") for number in range(4)]
    at_once = {"in_flight": 5}
    for _ in range(10):
        for site in sites:
            side_by_side.throwaway(kind="requests.get", call_site=site, exchange=at_once)
    for site in sites:
        for settings in (1, 2):
            for _ in range(10):
                in_turn.throwaway(kind="requests.get", call_site=site, settings=settings, exchange=at_once)
    assert "pool_maxsize=20" in found(side_by_side)[0].fix
    assert "pool_maxsize" not in found(in_turn)[0].fix


@pytest.mark.parametrize(
    ("threads", "names_a_size"), [([1] * 12, False), (range(12), True), ([None] * 12, True)]
)
def test_only_lines_that_one_thread_runs_need_no_larger_pool(
    threads: Sequence[int | None], names_a_size: bool
) -> None:
    story = Story()
    for _ in range(10):
        for number, thread in enumerate(threads):
            site = CallSite("load.py", number, "main")
            story.throwaway(kind="requests.get", call_site=site, exchange={"thread": thread})
    assert ("pool_maxsize=12" in found(story)[0].fix) is names_a_size


def test_settings_that_ran_one_after_the_other_add_up_and_side_by_side_do_not() -> None:
    one_after_the_other = Story()
    for settings in (1, 2):
        for _ in range(11):
            one_after_the_other.throwaway(settings=settings)
    (finding,) = found(one_after_the_other)
    assert finding.count == 22
    assert finding.saving == pytest.approx(20 * 0.025)
    side_by_side = Story()
    for _ in range(11):
        side_by_side.throwaway(settings=1, exchange={"thread": 1})
        side_by_side.throwaway(settings=2, exchange={"thread": 2})
    (finding,) = found(side_by_side)
    assert finding.saving == pytest.approx(10 * 0.025)


@pytest.mark.parametrize(
    ("runner", "clients"), [({"thread": 1}, 5 * 10), ({"thread": 1, "task": "main"}, 5 * 10), ({}, 10)]
)
def test_lines_that_one_thread_or_task_runs_in_turn_add_up(runner: dict[str, Any], clients: int) -> None:
    story = Story()
    for _ in range(11):
        for number in range(5):
            story.throwaway(call_site=CallSite("load.py", number, "main"), exchange=runner)
    (finding,) = found(story)
    assert finding.count == 5 * 11
    assert finding.saving == pytest.approx(clients * 0.025)


@pytest.mark.parametrize("task", [None, "worker"])
def test_what_runs_side_by_side_under_one_name_does_not_add_up(task: str | None) -> None:
    """Greenlets have one thread, and tasks may have one name."""
    story = Story()
    for _ in range(11):
        began = story.now
        for number in range(5):
            story.now = began
            site = CallSite("load.py", number, "main")
            story.throwaway(call_site=site, exchange={"thread": 1, "task": task})
    (finding,) = found(story)
    assert finding.saving == pytest.approx(10 * 0.025)


def test_lines_side_by_side_under_one_name_need_a_larger_pool() -> None:
    story = Story()
    for _ in range(11):
        began = story.now
        for number in range(12):
            story.now = began
            site = CallSite("load.py", number, "main")
            story.throwaway(kind="requests.get", call_site=site, exchange={"thread": 1})
    assert "pool_maxsize=12" in found(story)[0].fix


def test_requests_through_a_forward_proxy() -> None:
    """The connections are the proxy's, and the requests those of the servers behind it."""
    story = Story()
    for _ in range(5):
        client = story.client(kind="requests.get")
        connection = story.connect(client, "http://proxy.test", via="forward")
        story.exchange(client, connection, origin=ORIGIN)
        story.disconnect(connection)
        story.close(client)
    (finding,) = found(story)
    assert (finding.origin, finding.count) == (ORIGIN, 5)


def test_building_is_counted_once_for_a_client_of_two_origins() -> None:
    story = Story()
    for _ in range(5):
        client = story.client()
        for origin in (ORIGIN, "http://other.test"):
            connection = story.connect(client, origin)
            story.exchange(client, connection)
            story.disconnect(connection)
        story.close(client, 2)
    assert sum(finding.cost or 0.0 for finding in found(story)) == pytest.approx(5 * (0.01 + 2 * 0.01))


def test_repeated_records_of_a_connection_count_once() -> None:
    story = throwaways(5)
    doubled = [record for record in story.records for _ in range(2 if record.type == "connection" else 1)]
    assert found_in(doubled) == found_in(story.records)


def test_asking_changes_nothing_and_the_same_stream_finds_the_same() -> None:
    story = parallel(30, 7)
    rule = ClientPerRequest()
    for record in story.records:
        feed(rule, record)
        rule.findings()
    assert rule.findings() == rule.findings() == found(story)


@pytest.mark.parametrize("long_lived", range(1, 4))
def test_the_exchanges_it_does_not_need_change_nothing(long_lived: int) -> None:
    story = Story()
    for number in range(12):
        for origin in (ORIGIN, "http://other.test"):
            story.throwaway(origin=origin, requests=MAX_CALLS + 20 if number < long_lived else 1)
    every, needed = ClientPerRequest(), ClientPerRequest()
    passed_over = 0
    for record in story.records:
        feed(every, record)
        if isinstance(record, Exchange) and not needed.needs(record.pid, record.client, record.origin):
            passed_over += 1
        else:
            feed(needed, record)
    assert needed.findings() == every.findings()
    assert passed_over == long_lived * 2 * (MAX_CALLS + 19 - MOST_CALLS)


@pytest.mark.parametrize("seed", range(3))
def test_saving_never_exceeds_cost_nor_busy_time(seed: int) -> None:
    chance = random.Random(seed)
    story = Story()
    for _ in range(50):
        story.throwaway(built_in=chance.random())
        story.now += chance.random() * 10
    (finding,) = found(story)
    assert finding.saving is not None
    assert finding.cost is not None
    assert 0 < finding.saving <= min(finding.cost, story.now)


def test_habits_are_bounded_and_a_finding_outlives_the_others() -> None:
    story = throwaways(5)
    for number in range(MAX_HABITS + 50):
        story.throwaway(origin=f"http://{number}.test")
    rule = ClientPerRequest()
    for record in story.records:
        feed(rule, record)
    assert len(rule._habits) <= MAX_HABITS
    assert not rule._lives
    assert [finding.origin for finding in rule.findings()] == [ORIGIN]
