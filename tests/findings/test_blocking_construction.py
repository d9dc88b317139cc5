"""PS126: it fires where a client is built inside a running loop and takes long."""

from __future__ import annotations

from typing import Any

import pytest

from poolscope.findings.blocking_construction import MIN_BLOCKED
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story


def built(seconds: float, loop: int | None, times: int = 1, **changes: Any) -> Story:
    story = Story()
    for _ in range(times):
        story.close(story.client(kind="httpx.AsyncClient", built_in=seconds, loop=loop, **changes), 0)
    return story


def test_below_and_at_the_threshold() -> None:
    assert count("PS126", built(MIN_BLOCKED - 0.001, loop=1)) is None
    assert count("PS126", built(MIN_BLOCKED, loop=1)) == 1


def test_outside_of_a_loop_nothing_is_blocked() -> None:
    assert count("PS126", built(1.0, loop=None)) is None


def test_it_says_for_how_long() -> None:
    (finding,) = found("PS126", built(0.08, loop=1, times=3))
    assert (finding.call_site, finding.origin, finding.severity) == (LINE, None, "info")
    assert "3 times" in finding.sentence
    assert "80 ms" in finding.sentence
    assert finding.cost == pytest.approx(0.24)


def test_a_client_per_request_explains_it() -> None:
    story = Story()
    for _ in range(5):
        story.throwaway(built_in=0.08, loop=1)
    assert count("PS126", story) is None
    (finding,) = found("PS101", story)
    assert "blocked it for up to 80 ms" in finding.notes[0]


def test_it_advises_a_shared_context_only_where_the_certificates_took_the_time() -> None:
    (certificates,) = found("PS126", built(0.1, loop=1, ca_time=0.05))
    assert "verify=" in certificates.fix
    (something_else,) = found("PS126", built(0.1, loop=1, times=2, ca_time=0.04))
    assert "verify=" not in something_else.fix
    assert "80 ms" in something_else.fix
