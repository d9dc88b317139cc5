"""PS108: it fires where a request failed at once on a connection that the server had closed while it was idle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import requests
import urllib3

from poolscope import testing
from poolscope.findings.stale_connection import AT_ONCE, MIN_IDLE, NEWEST
from poolscope.records import Client, Exchange
from tests.findings.rule import count, found
from tests.reports.stories import Story
from tests.servers import Scripted, scripted


def failed(
    idle: float = 60.0,
    took: float = 0.01,
    reason: str = "server_closed_no_response",
    kind: str = "httpx.Client",
    **changes: Any,
) -> Story:
    story = Story()
    client = story.client(kind)
    connection = story.connect(client)
    story.exchange(client, connection)
    story.now += idle
    how = {
        "error": "httpx.RemoteProtocolError",
        "status": None,
        "body_complete": None,
        "idle_time": idle,
        **changes,
    }
    story.exchange(client, connection, took, **how)
    story.disconnect(connection, reason, closed_by="server")
    return story


def test_one_is_enough() -> None:
    (finding,) = found("PS108", failed())
    assert (finding.count, finding.severity) == (1, "warning")
    assert "60.0 s" in finding.sentence
    assert finding.notes == ["The last one was request 2 on its connection."]


def test_the_time_to_keep_them_is_rounded_down() -> None:
    (finding,) = found("PS108", failed(idle=0.58))
    assert "idle for 0.5 s or more" in finding.sentence
    assert "less than 0.5 s" in finding.fix


def test_idle_below_and_at_the_threshold() -> None:
    assert count("PS108", failed(idle=MIN_IDLE - 0.001)) is None
    assert count("PS108", failed(idle=MIN_IDLE)) == 1


def test_a_failure_that_took_its_time_has_another_cause() -> None:
    assert count("PS108", failed(took=AT_ONCE - 0.001)) == 1
    assert count("PS108", failed(took=AT_ONCE + 0.001)) is None


@pytest.mark.parametrize(
    "changes", [{"reused": False}, {"status": 200}, {"error": None}, {"idle_time": None}]
)
def test_other_failures(changes: dict[str, Any]) -> None:
    assert count("PS108", failed(**changes)) is None


@pytest.mark.parametrize("reason", ["timeout", "cancelled", "protocol_error", "client_close_active"])
def test_closes_that_are_not_the_servers(reason: str) -> None:
    assert count("PS108", failed(reason=reason)) is None


@pytest.mark.parametrize("relation", ["retry", None])
def test_what_the_library_sends_again_has_not_failed(relation: str | None) -> None:
    story = failed()
    before = next(record for record in story.records if isinstance(record, Exchange) and record.error)
    client = story.client()
    story.exchange(client, story.connect(client), previous=before.id, relation=relation)
    assert count("PS108", story) == (None if relation else 1)


def failed_then(idle: float, method: str, story: Story, *, sent_again: bool) -> None:
    client = story.client()
    connection = story.connect(client)
    story.exchange(client, connection)
    story.now += idle
    before = story.exchange(
        client, connection, error="x", status=None, body_complete=None, idle_time=idle, method=method
    )
    story.disconnect(connection, "server_closed_no_response", closed_by="server")
    if sent_again:
        story.exchange(client, story.connect(client), previous=before.id, relation="retry", method=method)


def test_what_was_sent_again_leaves_no_word_in_the_finding() -> None:
    story = Story()
    failed_then(60.0, "GET", story, sent_again=False)
    failed_then(0.6, "POST", story, sent_again=True)
    (finding,) = found("PS108", story)
    assert (finding.count, finding.notes) == (1, ["The last one was request 2 on its connection."])
    assert "idle for 60.0 s or more" in finding.sentence
    assert "safe to send again" in finding.fix


def test_as_many_as_there_are() -> None:
    story = Story()
    for _ in range(NEWEST + 2):
        failed_then(60.0, "GET", story, sent_again=False)
    assert count("PS108", story) == NEWEST + 2


@pytest.mark.parametrize(("method", "at_once"), [("GET", None), ("POST", 1)])
def test_what_urllib3_may_send_again_counts_once_the_program_goes_on(
    method: str, at_once: int | None
) -> None:
    """A live process may be asked in the middle of the second attempt."""
    story = failed(kind="urllib3.PoolManager", method=method)
    assert count("PS108", story) == at_once
    client = next(record for record in story.records if isinstance(record, Client))
    story.close(client)
    assert count("PS108", story) == 1
    story.records.pop()
    story.exchange(client, story.connect(client))
    assert count("PS108", story) == 1


def urllib3_get(url: str) -> None:
    with urllib3.PoolManager() as manager:
        manager.request("GET", url)
        time.sleep(MIN_IDLE)
        manager.request("GET", url)


def urllib3_get_once(url: str) -> None:
    with urllib3.PoolManager(retries=False) as manager:
        manager.request("GET", url)
        time.sleep(MIN_IDLE)
        with suppress(urllib3.exceptions.ProtocolError):
            manager.request("GET", url)


def requests_get(url: str) -> None:
    with requests.Session() as session:
        session.get(url, timeout=5)
        time.sleep(MIN_IDLE)
        with suppress(requests.ConnectionError):
            session.get(url, timeout=5)


def aiohttp_get(url: str) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            await (await session.get(url)).read()
            await asyncio.sleep(MIN_IDLE)
            await (await session.get(url)).read()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("program", "failures"),
    [(urllib3_get, []), (urllib3_get_once, ["PS108"]), (requests_get, ["PS108"]), (aiohttp_get, [])],
)
def test_libraries_that_retry_and_one_that_does_not(
    program: Callable[[str], None], failures: list[str]
) -> None:
    def script(server: Scripted) -> None:
        with server.accept() as first:
            first.read_head()
            first.answer()
            first.read_head()
        if not failures:
            with server.accept() as second:
                second.read_head()
                second.answer()

    with scripted(script) as server, testing.capture() as captured:
        program(server.url("/"))
    assert [finding.code for finding in captured.findings] == failures


def test_it_says_whether_to_send_again() -> None:
    assert "safe to send again" in found("PS108", failed(method="GET"))[0].fix
    assert "POST must not simply be sent again" in found("PS108", failed(method="POST"))[0].fix
