"""Whatever servers, uploads, threads and cancellations do: programs end as without us, and our facts are true."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import poolscope
from poolscope.story.hook import HOOKS
from poolscope.story.live import LIVE
from poolscope.testing import Capture, capture
from tests.servers import Running, ServerConfig, ServerLog, in_thread
from tests.truth import judge, judge_http2
from tests.truth.chaos import (
    BROKEN_HTTP2,
    PROGRAMS,
    PROGRAMS_HTTP2,
    Play,
    among_others,
    cancelled_at_every_await,
)
from tests.truth.probes import ALL, ASYNC, HTTPX, HTTPX_ASYNC, PROBES, Options

TWINS = ("httpx2-sync", "httpx2-trio")
"""It has the same hooks as httpx; one style of httpx2 shows that they are installed."""

pytestmark = [
    pytest.mark.load,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

MOST_PLAYS = 10
PACKAGE = f"{Path(poolscope.__file__).parent}/"


def without_twins(names: list[str]) -> list[str]:
    return [name for name in names if name not in TWINS]


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """pytest keeps the exceptions that urllib3 logs, and with them its pools and connections."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def failures() -> dict[str, int]:
    return {name: hook.failures for name, hook in HOOKS.items() if hook.failures}


def played(
    name: str, server: Running, program: Callable[[Play], Any], **options: Any
) -> tuple[list[Any], ServerLog]:
    """The outcome of each move of ``program``, and what the server saw."""
    with PROBES[name]() as probe:
        probe.build(Options(**options))
        play = Play(probe, server)
        program(play)
        if probe.client is not None:
            probe.close()
        gc.collect()
        return play.outcomes, play.settled(lambda log: log.open == 0)


def unexplained(watched: list[Any], bare: list[list[Any]]) -> list[tuple[int, Any]]:
    """(step, outcome) wherever that step never ended so without us.

    The program does not decide what arrives first, the next bytes or the end of another stream: steps that depend on
    it differ between two plays even without us.
    """
    return [
        (step, outcome)
        for step, outcome in enumerate(watched)
        if not any(outcome in outcomes[step : step + 1] for outcomes in bare)
    ]


def alike(
    name: str, server: Running, program: Callable[[Play], Any], **options: Any
) -> tuple[Capture, ServerLog]:
    """Assert that ``program`` ends the same way with us."""
    bare = [played(name, server, program, **options)[0]]
    watched, seen, log = captured(name, server, program, **options)
    while unexplained(watched, bare) and len(bare) < MOST_PLAYS:
        bare.append(played(name, server, program, **options)[0])
    assert unexplained(watched, bare) == []
    return seen, log


def kinds(outcomes: list[Any]) -> set[tuple[str, Any]]:
    """How its steps ended, without where."""
    return {(how, what[0] if how != "returned" else what) for how, what, *_ in outcomes}


def untouched(
    name: str, server: Running, program: Callable[[Play], Any], **options: Any
) -> tuple[Capture, ServerLog]:
    """Assert that a ``program`` that ends differently each time ends in the same ways, by no frame of ours."""
    bare, _ = played(name, server, program, **options)
    watched, seen, log = captured(name, server, program, **options)
    assert kinds(watched) <= kinds(bare)
    assert [outcome for outcome in watched if PACKAGE in str(outcome)] == []
    return seen, log


def captured(
    name: str, server: Running, program: Callable[[Play], Any], **options: Any
) -> tuple[list[Any], Capture, ServerLog]:
    """Play it with us; assert that no hook fails and that nothing stays live."""
    failed_before = failures()
    with capture() as seen:
        outcomes, log = played(name, server, program, **options)
        seen.settle()
        left = [
            *LIVE.clients.values(),
            *LIVE.connections.values(),
            *LIVE.exchanges.values(),
            *LIVE.lent.values(),
        ]
    assert failures() == failed_before
    assert left == []
    assert not any(LIVE.peers.values())
    return outcomes, seen, log


def hold(verdict: judge.Verdict, seen: Capture, *unless: str) -> None:
    """Check everything the judge checks, except close reasons, which other tests check by behaviour."""
    wrong = [said for said in verdict.wrong if not said.startswith(("reason:", *unless))]
    assert wrong == [], str(verdict)
    assert verdict.exchanges > 0
    assert {c.close_reason for c in seen.opened()}.isdisjoint({None, "unknown"})


ANSWERED_EARLY = ("headers before the answer:", "idle time:", "answer from nowhere:")
"""True where a surplus answer is taken for the next request's: its client may leave before the server reads that."""


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("name", without_twins(ALL))
def test_over_http1(name: str, program: str, server: Running) -> None:
    seen, log = alike(name, server, PROGRAMS[program])
    early = ANSWERED_EARLY if program == "more answers than requests" else ()
    hold(judge.judge(seen.connections, seen.exchanges, log), seen, *early)


@pytest.fixture(scope="module")
def http2() -> Iterator[Running]:
    with in_thread(ServerConfig("http2")) as running:
        yield running


@pytest.mark.parametrize("program", PROGRAMS_HTTP2)
@pytest.mark.parametrize("name", without_twins(HTTPX))
def test_over_http2(name: str, program: str, http2: Running) -> None:
    seen, log = alike(name, http2, PROGRAMS_HTTP2[program], http2=True)
    hold(judge_http2.judge(seen.connections, seen.exchanges, log), seen)


@pytest.mark.parametrize("behaviour", BROKEN_HTTP2)
@pytest.mark.parametrize("name", without_twins(HTTPX))
def test_over_http2_among_others(name: str, behaviour: str, http2: Running) -> None:
    """Which stream fails, and how, depends on which reads first, so that is not compared here."""
    outcomes, seen, log = captured(name, http2, among_others(behaviour), http2=True)
    assert [outcome for outcome in outcomes if PACKAGE in str(outcome)] == []
    hold(judge_http2.judge(seen.connections, seen.exchanges, log), seen)


@pytest.mark.parametrize("path", ["size/70000", "chunked", "redirect/fixed"])
@pytest.mark.parametrize("name", without_twins(ASYNC))
def test_a_cancel_at_every_await(name: str, path: str, server: Running) -> None:
    seen, log = untouched(name, server, lambda play: cancelled_at_every_await(play, path))
    hold(judge.judge(seen.connections, seen.exchanges, log), seen)


@pytest.mark.parametrize("name", without_twins(HTTPX_ASYNC))
def test_a_cancel_at_every_await_of_a_stream(name: str, http2: Running) -> None:
    seen, log = untouched(name, http2, lambda play: cancelled_at_every_await(play, "fixed"), http2=True)
    hold(judge_http2.judge(seen.connections, seen.exchanges, log), seen)
