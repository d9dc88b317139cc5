"""PS117: it fires where a client comes back to hosts, and had closed their connections to make room for others."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings import find
from poolscope.findings.causes import SENTENCES
from poolscope.findings.hosts_in_turn import MIN_REOPENED
from poolscope.findings.lives import DEFAULT_KEEPALIVE
from poolscope.records import Phase
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story

KEPT = 10


def by_pools(
    hosts: int,
    requests: int,
    *,
    pause: float = 0.0,
    reason: str = "pool_evicted",
    lookup: float = 0.0,
    emptied: int = 0,
) -> Story:
    """A session goes to hosts in turn, and keeps a pool for each of the last ten."""
    story = Story()
    client = story.client(kind="requests.Session")
    for number in range(emptied):
        pool = story.pool(client, most=None)
        connection = story.connect(client, f"http://emptied-{number}.test", pool=pool.id)
        story.exchange(client, connection)
        story.disconnect(connection, "server_closed_idle")
    kept: dict[int, Any] = {}
    for host in (number % hosts for number in range(requests)):
        connection = kept.pop(host, None)
        if connection is None:
            if len(kept) == KEPT:
                story.disconnect(kept.pop(next(iter(kept))), reason)
            pool = story.pool(client, most=None)
            setup = {"dns": Phase(story.now, lookup), "total": Phase(story.now, lookup + 0.01)}
            story.now += lookup
            connection = story.connect(client, f"http://{host}.test", pool=pool.id, setup=setup)
        story.exchange(client, connection)
        kept[host] = connection
        story.now += pause
    return story


def by_connections(hosts: int, times: int, at_once: int = 1, idle_left: int = KEPT) -> Story:
    """An httpx client goes to hosts in turn, and keeps ten idle connections in all."""
    story = Story()
    client = story.client(kind="httpx.Client")
    pool = story.pool(client, keepalive=5.0)
    idle: list[Any] = []
    for host in [*range(hosts)] * times:
        origin = f"http://{host}.test"
        known = [connection for connection in idle if connection.origin == origin]
        new = (story.connect(client, origin, pool=pool.id) for _ in range(at_once - len(known)))
        used = [*known, *new]
        for connection in used:
            story.exchange(client, connection)
        idle = [connection for connection in idle if connection not in known] + used
        while len(idle) > KEPT:
            story.disconnect(idle.pop(0), "max_keepalive_surplus", idle_left=idle_left)
    return story


def test_as_many_hosts_as_are_kept() -> None:
    assert count("PS117", by_pools(KEPT, 50)) is None
    assert count("PS117", by_connections(KEPT, 5)) is None


def test_each_host_once() -> None:
    assert count("PS117", by_pools(50, 50)) is None
    assert count("PS117", by_connections(50, 1)) is None


def test_opened_again_below_and_at_the_threshold() -> None:
    assert count("PS117", by_pools(KEPT + 1, KEPT + 1 + MIN_REOPENED - 1)) is None
    assert count("PS117", by_pools(KEPT + 1, KEPT + 1 + MIN_REOPENED)) == 1 + MIN_REOPENED


@pytest.mark.parametrize("hosts", [11, 12, 19, 40])
def test_it_names_how_many_it_should_keep(hosts: int) -> None:
    (finding,) = found("PS117", by_pools(hosts, 3 * hosts))
    assert finding.call_site == LINE
    assert finding.origin is None
    assert finding.fix == f"Mount HTTPAdapter(pool_connections={hosts}) on the session."
    assert f"{3 * hosts - KEPT} connections were closed to make room" in finding.sentence
    assert f"{2 * hosts} opened in their place" in finding.sentence
    assert finding.cost == pytest.approx(2 * hosts * 0.01)
    (finding,) = found("PS117", by_connections(hosts, 3))
    assert finding.fix == f"Pass limits=httpx.Limits(max_keepalive_connections={hosts}) to it."


def test_pools_that_a_server_emptied_need_no_room() -> None:
    """They are evicted without a connection, so nobody sees them go."""
    (finding,) = found("PS117", by_pools(12, 36, emptied=200))
    assert "pool_connections=12" in finding.fix


def test_so_late_that_no_connection_would_have_been_kept() -> None:
    assert count("PS117", by_pools(12, 36, pause=DEFAULT_KEEPALIVE / 3)) == 26
    assert count("PS117", by_pools(12, 36, pause=DEFAULT_KEEPALIVE)) is None


def test_connections_closed_for_another_reason() -> None:
    assert count("PS117", by_pools(12, 36, reason="server_closed_idle")) is None


def test_many_at_once_to_few_hosts_is_another_habit() -> None:
    assert count("PS117", by_connections(3, 5, at_once=8)) is None


def test_httpcores_own_fault_is_another_finding() -> None:
    assert count("PS117", by_connections(12, 3, idle_left=KEPT - 1)) is None


def test_their_lookups_are_a_sentence_of_the_same_finding() -> None:
    (finding,) = find(by_pools(12, 120, lookup=0.05).records)
    assert finding.code == "PS117"
    *quoted, others = finding.notes
    assert len(quoted) == SENTENCES
    assert all(note.startswith("The same change also fixes this: ") for note in quoted)
    assert others == f"The same is true of {12 - SENTENCES} more."
