"""PS109: it fires where a client is used in one loop and has open connections of another."""

from __future__ import annotations

from typing import Any

from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story


def used(*loops: int | None, closed: bool = False, **exchange: Any) -> Story:
    """One client, used once in each of these loops, on a connection opened there."""
    story = Story()
    client = story.client("httpx.AsyncClient")
    for loop in loops:
        connection = story.connect(client, loop=loop)
        story.exchange(client, connection, loop=loop, **exchange)
        if closed:
            story.disconnect(connection)
    return story


def test_one_request_in_another_loop_is_enough() -> None:
    assert count("PS109", used(1, 1, 1)) is None
    (finding,) = found("PS109", used(1, 1, 2))
    assert (finding.count, finding.severity, finding.call_site) == (1, "warning", LINE)
    assert "failed" not in finding.sentence


def test_a_failed_one_is_reported() -> None:
    (finding,) = found("PS109", used(1, 2, error="RuntimeError"))
    assert "1 failed" in finding.sentence


def test_connections_that_were_closed_do_not_matter() -> None:
    assert count("PS109", used(1, 2, 3, closed=True)) is None


def test_without_a_loop_there_is_no_finding() -> None:
    assert count("PS109", used(None, None, None)) is None


def test_each_client_has_connections_of_its_own() -> None:
    story = used(1)
    other = story.client("httpx.AsyncClient")
    story.exchange(other, story.connect(other, loop=2), loop=2)
    assert count("PS109", story) is None
