"""PS103: it fires where answers are closed or dropped before they are read, which costs their connections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolscope.findings.unread_response import MIN_UNREAD
from poolscope.records import CallSite, Exchange
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


def kept_open(number: int, at_exit: bool = True, **exchange: Any) -> Story:
    story = Story()
    client = story.client()
    for each in range(number):
        changes = {name: value(each) if callable(value) else value for name, value in exchange.items()}
        known = {"thread": 1, "call_site": CALL, **changes}
        story.exchange(
            client, story.connect(client), state="reading", open_at_exit=at_exit, finished_at=None, **known
        )
    return story


def test_responses_that_one_thread_left_open() -> None:
    assert count("PS103", kept_open(MIN_UNREAD - 1)) is None
    (finding,) = found("PS103", kept_open(MIN_UNREAD))
    assert (finding.count, finding.call_site) == (MIN_UNREAD, CALL)
    assert "3 open to the end" in finding.sentence


def test_responses_that_may_still_be_read() -> None:
    assert count("PS103", kept_open(10, at_exit=False)) is None
    assert count("PS103", kept_open(10, thread=lambda number: number)) is None
    assert count("PS103", kept_open(10, task=lambda number: f"Task-{number}")) is None


def test_responses_that_were_read_after_all() -> None:
    story = kept_open(MIN_UNREAD)
    last = story.records[-1]
    assert isinstance(last, Exchange)
    story.records.append(replace(last, state=None, open_at_exit=False, finished_at=story.now))
    assert count("PS103", story) is None
