"""PS103: it fires where answers are closed or dropped before they were read, at the price of their connections."""

from __future__ import annotations

import pytest

from poolscope.findings.unread_response import MIN_UNREAD
from poolscope.records import CallSite
from tests.findings.rule import count, found
from tests.reports.stories import Story

CALL = CallSite("job.py", 7, "run")


def unread(times: int, reason: str = "response_not_read", sdk: CallSite | None = None) -> Story:
    story = Story()
    client = story.client(sdk_call_site=sdk)
    for _ in range(times):
        connection = story.connect(client)
        story.exchange(client, connection, body_complete=False, call_site=CALL)
        story.disconnect(connection, reason)
    return story


@pytest.mark.parametrize("reason", ["response_not_read", "gc_active"])
def test_below_and_at_the_threshold(reason: str) -> None:
    assert count("PS103", unread(MIN_UNREAD - 1, reason)) is None
    assert count("PS103", unread(MIN_UNREAD, reason)) == MIN_UNREAD


def test_it_names_the_line_that_asked() -> None:
    (finding,) = found("PS103", unread(4))
    assert (finding.call_site, finding.severity) == (CALL, "warning")
    assert "4 closed unread" in finding.sentence
    assert "4 dropped without a close" in found("PS103", unread(4, "gc_active"))[0].sentence


def test_the_habit_of_a_package_is_information() -> None:
    (finding,) = found("PS103", unread(4, sdk=CallSite("site-packages/sdk/stream.py", 1, "close")))
    assert finding.severity == "info"


@pytest.mark.parametrize("reason", ["client_close", "timeout", "server_closed_mid_body"])
def test_other_ends(reason: str) -> None:
    assert count("PS103", unread(10, reason)) is None
