"""PS122: it fires where clients are collected in batches, and replaced by new ones."""

from __future__ import annotations

from typing import Any

from poolscope.findings.dying_clients import MIN_DEAD, MIN_REQUESTS, SOON
from poolscope.findings.lives import MOST_CALLS
from tests.findings.rule import count, found
from tests.reports.stories import Story


def batches(
    number: int,
    pause: float = 0.0,
    size: int = 4,
    requests: int = MOST_CALLS,
    after: Story | None = None,
    **end: Any,
) -> Story:
    story = after or Story()
    for _ in range(number):
        clients = [story.client() for _ in range(size)]
        used = [story.connect(client) for client in clients]
        for client, connection in zip(clients, used, strict=True):
            for _ in range(requests):
                story.exchange(client, connection)
        for client, connection in zip(clients, used, strict=True):
            story.disconnect(connection, end.get("reason", "gc"))
            story.close(client, requests, close_kind=end.get("close_kind", "gc"))
        story.now += pause
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS122", batches(MIN_DEAD - 1, size=1)) is None
    assert count("PS122", batches(MIN_DEAD, size=1)) == MIN_DEAD


def test_clients_that_were_used_less_are_another_finding() -> None:
    assert count("PS122", batches(4, requests=MIN_REQUESTS)) == 16
    assert count("PS122", batches(4, requests=MIN_REQUESTS - 1)) is None


def test_one_batch_ends_as_it_should() -> None:
    assert count("PS122", batches(1, size=50)) is None


def test_one_batch_after_a_single_client_ends_as_it_should() -> None:
    assert count("PS122", batches(1, size=50, after=batches(1, size=1))) is None
    assert count("PS122", batches(1, size=4, after=batches(1, size=4))) == 8


def test_one_client_after_another_over_a_long_time() -> None:
    assert count("PS122", batches(MIN_DEAD, size=1, pause=SOON - 1.0)) == MIN_DEAD


def test_batches_far_apart() -> None:
    assert count("PS122", batches(10, pause=SOON + 10.0)) is None


def test_clients_that_are_closed() -> None:
    assert count("PS122", batches(10, close_kind="close", reason="client_close")) is None


def test_a_server_that_would_not_have_kept_the_connections() -> None:
    assert count("PS122", batches(10, reason="server_closed_idle")) is None


def test_it_says_what_became_of_them() -> None:
    (finding,) = found("PS122", batches(4))
    assert "16 clients (httpx.Client) were garbage-collected" in finding.sentence
    assert f"after {MOST_CALLS} requests each" in finding.sentence
    assert "Share one client" in finding.fix
