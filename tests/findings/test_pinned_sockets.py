"""PS114: it fires where connections stay open though their clients are gone and their answers were read."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
import requests

from poolscope import testing
from poolscope.findings.pinned_sockets import MAX_CLIENTS, MIN_PINNED, PINNED_FOR, PinnedSockets
from poolscope.records import Connection
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story
from tests.servers import Running

Left = list[Connection]


def gone(story: Story, number: int, answers: int = 1, **connection: Any) -> Left:
    """Clients that each got an answer, and were closed before their connection; each has its own credential."""
    left = []
    for each in range(number):
        client = story.client("requests.get", built_in=0.0, settings=each + 1)
        known = {"pool": next(story.ids), "connect": 0.0, **connection}
        left.append(story.connect(client, **known))
        for _ in range(answers):
            story.exchange(client, left[-1], took=0.0)
        story.close(client, 1)
    return left


def let_go(story: Story, connections: Left) -> None:
    for connection in connections:
        story.disconnect(connection, "gc")


def ended(story: Story, connections: Left) -> Story:
    """The program ends while these are still open."""
    story.records += connections
    return story


def test_below_and_at_the_number() -> None:
    story = Story()
    assert count("PS114", ended(story, gone(story, MIN_PINNED - 1))) is None
    story = Story()
    assert count("PS114", ended(story, gone(story, MIN_PINNED))) == MIN_PINNED


def test_below_and_at_the_time() -> None:
    for wait, expected in ((0.9 * PINNED_FOR, None), (PINNED_FOR, MIN_PINNED)):
        story = Story()
        left = gone(story, MIN_PINNED)
        story.now += wait
        let_go(story, left)
        assert count("PS114", story) == expected


def test_it_is_found_while_the_program_goes_on() -> None:
    story = Story()
    gone(story, MIN_PINNED)
    story.now += PINNED_FOR
    assert count("PS114", story) is None
    gone(story, 1)
    assert count("PS114", story) == MIN_PINNED


def test_it_names_the_line() -> None:
    story = Story()
    (finding,) = found("PS114", ended(story, gone(story, 12)))
    assert (finding.call_site, finding.origin, finding.severity) == (LINE, None, "info")
    assert "12 connections of clients (requests.get)" in finding.sentence


def test_one_after_the_other_is_a_reassigned_variable() -> None:
    story = Story()
    for _ in range(3 * MIN_PINNED):
        left = gone(story, 1)
        story.now += 2 * PINNED_FOR
        let_go(story, left)
    assert count("PS114", story) is None


def test_an_answer_that_is_still_read_keeps_its_own_connection() -> None:
    story = Story()
    left = gone(story, MIN_PINNED, answers=0)
    story.now += 2 * PINNED_FOR
    assert count("PS114", ended(story, left)) is None
    for connection in left:
        story.records.append(replace(story.exchange(None, connection), client=connection.client))
        story.records.pop(-2)
    assert count("PS114", ended(story, left)) == MIN_PINNED


def test_clients_that_share_a_pool_leave_it_open_on_purpose() -> None:
    story = Story()
    assert count("PS114", ended(story, gone(story, 3 * MIN_PINNED, pool=7))) is None


def test_a_client_per_request_explains_it() -> None:
    story = Story()
    left = []
    for number in range(MIN_PINNED):
        client = story.client("requests.get")
        left.append(story.connect(client, pool=1000 + number))
        story.exchange(client, left[-1])
        story.close(client)
    assert count("PS114", ended(story, left)) is None
    (finding,) = found("PS101", story)
    assert "stayed open" in finding.notes[0]


def test_memory_is_bounded() -> None:
    story, rule = Story(), PinnedSockets()
    gone(story, 2 * MAX_CLIENTS)
    for record in story.records:
        getattr(rule, record.type, lambda _: None)(record)
    assert len(rule._pinned) == MAX_CLIENTS
    assert len(rule._used) <= MAX_CLIENTS


def by_requests(url: str, number: int) -> Any:
    return requests.get(url, auth=("user", str(number)), timeout=5)


def by_httpx(url: str, number: int) -> Any:
    return httpx.Client(auth=("user", str(number)), verify=False).get(url)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("get", [by_requests, by_httpx])
def test_kept_responses(server: Running, get: Callable[[str, int], Any]) -> None:
    with testing.capture() as captured:
        kept = [get(server.origin, number) for number in range(MIN_PINNED)]
    (finding,) = captured.findings
    assert (finding.code, finding.count) == ("PS114", MIN_PINNED)
    assert finding.call_site is not None
    assert finding.call_site.function == get.__name__
    with testing.capture() as captured:
        texts = [get(server.origin, number).text for number in range(MIN_PINNED)]
    assert not captured.findings
    assert len(kept) == len(texts)
    kept.clear()
    gc.collect()  # this test must not be warned of unclosed objects
