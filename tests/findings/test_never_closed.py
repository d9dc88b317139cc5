"""PS102: it fires where one line has built many clients, and all are open at the end."""

from __future__ import annotations

from typing import Any

from poolscope.findings.never_closed import MIN_OPEN
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story


def kept(number: int, requests: int = 1, close_kind: str = "open_at_exit", **changes: Any) -> Story:
    story = Story()
    clients = [story.client(**changes) for _ in range(number)]
    for client in clients:
        story.exchange(client, story.connect(client))
    for client in clients:
        story.close(client, requests, closed_at=None, close_kind=close_kind)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS102", kept(MIN_OPEN - 1)) is None
    assert count("PS102", kept(MIN_OPEN)) == MIN_OPEN


def test_one_for_the_whole_program() -> None:
    assert count("PS102", kept(1, requests=10_000)) is None


def test_clients_that_differ() -> None:
    story = Story()
    for number in range(100):
        client = story.client(settings=number + 1)
        story.exchange(client, story.connect(client))
        story.close(client, closed_at=None, close_kind="open_at_exit")
    assert count("PS102", story) is None


def test_clients_without_a_request_or_with_unknown_settings() -> None:
    assert count("PS102", kept(50, requests=0)) is None
    assert count("PS102", kept(50, settings=None)) is None


def test_its_line() -> None:
    (finding,) = found("PS102", kept(20))
    assert (finding.call_site, finding.origin, finding.severity) == (LINE, None, "warning")
