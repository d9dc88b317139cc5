"""PS108: it fires where a request failed at once on a connection that the server had closed while it was idle."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.stale_connection import AT_ONCE, MIN_IDLE
from tests.findings.rule import count, found
from tests.reports.stories import Story


def failed(
    idle: float = 60.0, took: float = 0.01, reason: str = "server_closed_no_response", **changes: Any
) -> Story:
    story = Story()
    client = story.client()
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


def test_it_says_whether_to_send_again() -> None:
    assert "safe to send again" in found("PS108", failed(method="GET"))[0].fix
    assert "POST must not simply be sent again" in found("PS108", failed(method="POST"))[0].fix
