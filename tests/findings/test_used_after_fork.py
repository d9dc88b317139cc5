"""PS110: it fires where a request runs on a connection that was opened before the fork."""

from __future__ import annotations

from tests.findings.rule import count, found
from tests.reports.stories import Story


def child(inherited: bool) -> Story:
    story = Story()
    client = story.client()
    connection = story.connect(client, inherited=inherited)
    story.exchange(client, connection)
    story.exchange(client, connection)
    return story


def test_each_request_on_an_inherited_connection() -> None:
    assert count("PS110", child(inherited=True)) == 2
    assert count("PS110", child(inherited=False)) is None


def test_it_is_a_warning_whatever_it_cost() -> None:
    (finding,) = found("PS110", child(inherited=True))
    assert (finding.severity, finding.cost) == ("warning", None)


def test_a_connection_that_is_merely_closed_in_the_child() -> None:
    story = Story()
    story.disconnect(story.connect(story.client(), inherited=True), "gc")
    assert count("PS110", story) is None
