"""Budgets and assertions of ``capture()``, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests

from poolscope.budget import Budget
from poolscope.testing import Capture, budget, capture
from tests.servers import ServerConfig, in_thread


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with in_thread() as running:
        yield running.url("/fixed/")


def each(url: str, times: int = 5) -> None:
    for _ in range(times):
        requests.get(url, timeout=10)


def together(url: str, times: int = 5) -> None:
    with requests.Session() as session:
        for _ in range(times):
            session.get(url)


def of(url: str, work: Any) -> Capture:
    with capture() as seen:
        work(url)
    return seen


def test_the_report_of_a_capture_is_that_of_run(url: str) -> None:
    report = of(url, each).report()
    assert "0 % of 5 requests reused a connection" in report
    assert "PS101 client per request" in report
    assert "✕ client close" in report


def test_a_block_within_its_budget_passes(url: str) -> None:
    of(url, together).assert_budget(max_connections=1, min_reuse=0.8, max_cost=60)
    of(url, together).assert_no_findings()
    with budget(max_connections=1) as seen:
        together(url)
    assert len(seen.exchanges) == 5


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_connections": 4}, "5 connections opened, at most 4 allowed: tests/test_budget.py:"),
        ({"min_reuse": 0.1}, "0 % of 5 requests reused a connection, at least 10 % wanted"),
        ({"max_cost": 1e-6}, "of building, setup and closing, at most 1 µs allowed"),
    ],
)
def test_a_block_over_its_budget_names_the_line_and_draws_the_lanes(
    url: str,
    limits: dict[str, float],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(request.config.rootpath)
    with pytest.raises(AssertionError) as error:
        of(url, each).assert_budget(**limits)  # type: ignore[arg-type]
    text = str(error.value)
    assert says in text
    assert "█" in text
    assert "fix     Create one requests.Session()" in text
    with pytest.raises(AssertionError, match=says.partition(", ")[0].lstrip("05 %")), budget(**limits):
        each(url)


def test_connections_from_before_are_not_counted(url: str) -> None:
    with requests.Session() as session:
        session.get(url)
        with capture():
            session.get(url)
        with budget(max_connections=0, min_reuse=1, max_cost=0) as seen:
            session.get(url)
    assert len(seen.connections) == 1


def test_requests_side_by_side_on_one_http2_connection_count_as_reuse() -> None:
    with (
        in_thread(ServerConfig(kind="http2")) as running,
        httpx.Client(http1=False, http2=True) as client,
        budget(max_connections=1, min_reuse=0.5),
    ):
        for _ in range(3):
            client.get(running.url("/fixed/"))


def test_a_block_that_fails_by_itself_is_not_judged(url: str) -> None:
    with pytest.raises(LookupError), budget(max_connections=0):
        each(url)
        raise LookupError


def test_without_requests_there_is_no_reuse(url: str) -> None:
    with pytest.raises(AssertionError, match="no request was seen"), budget(min_reuse=0.1):
        pass


def test_findings_by_code(url: str) -> None:
    seen = of(url, each)
    seen.assert_no_findings("PS103", "ps104")
    with pytest.raises(AssertionError, match=r"^PS101 client per request\n"):
        seen.assert_no_findings("PS103", "PS101")
    with pytest.raises(AssertionError, match=r"^PS101 client per request\n"):
        seen.assert_no_findings()
    with pytest.raises(Exception, match="assert_no_findings: no finding has the code 'PS9'"):
        seen.assert_no_findings("PS9")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_connections": "one"}, "max_connections must be a whole number, at least 0, not 'one'"),
        ({"max_connections": 1.5}, "max_connections must be a whole number, at least 0, not 1.5"),
        ({"max_connections": True}, "max_connections must be a whole number, at least 0, not True"),
        ({"max_connections": -1}, "max_connections must be a whole number, at least 0, not -1"),
        ({"min_reuse": 90}, "min_reuse must be a number from 0 to 1, not 90"),
        ({"max_cost": float("nan")}, "max_cost must be a number of seconds, at least 0, not nan"),
        ({"max_cost": float("inf")}, "max_cost must be a number of seconds, at least 0, not inf"),
        ({"max_cost": -1}, "max_cost must be a number of seconds, at least 0, not -1"),
        (
            {"max_conections": 1},
            r"there is no max_conections \(there are max_connections, min_reuse, max_cost\)",
        ),
        ({}, "a budget has at least one of max_connections, min_reuse, max_cost"),
        ({"max_cost": None}, "a budget has at least one of max_connections, min_reuse, max_cost"),
    ],
)
def test_an_invalid_budget_is_an_error_with_its_place(limits: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^here: {says}$"):
        Budget.parse(limits, "here")
