"""PS101: when a client per request is not urgent, and when a fix saves more than promised."""

from __future__ import annotations

from typing import Final

from poolscope.findings.churn import Churn
from poolscope.findings.habits import Habit
from poolscope.records import CallSite

_A_TEST: Final = (
    "The line belongs to a test or a fixture: a wider scope of the fixture would share the client."
)
_A_LOAD_TEST: Final = "A load test gives each of its users a client, just like real users."
_LONG_REQUESTS: Final = (
    "The requests take so long (streams, long polls) that building and connecting hardly counts."
)
_RETRIES: Final = "Most of them are retries after a server error, and there a new connection may be intended."
NEGLIGIBLE: Final = 0.01
"""A cost of clients below this share of the requests' own time goes unnoticed."""


def why_harmless(habit: Habit, churns: list[Churn]) -> str | None:
    """Why it is not urgent, or None."""
    if _is_test(habit.call_site):
        return _A_TEST
    if _is_load_test(habit.sdk_call_site):
        return _A_LOAD_TEST
    if sum(churn.cost for churn in churns) < NEGLIGIBLE * sum(churn.working for churn in churns):
        return _LONG_REQUESTS
    if 2 * sum(churn.failing for churn in churns) > sum(churn.clients for churn in churns):
        return _RETRIES
    return None


def _is_load_test(site: CallSite | None) -> bool:
    return site is not None and "/locust/" in site.file.replace("\\", "/")


def more_to_be_had(churns: list[Churn]) -> list[str]:
    if 2 * sum(churn.large for churn in churns) <= sum(churn.clients for churn in churns):
        return []
    return [
        "Its answers are large (over 14 kB): a new connection sends them slowly at first, so you can save more than that."
    ]


def _is_test(site: CallSite | None) -> bool:
    name = "" if site is None else site.file.replace("\\", "/").rpartition("/")[2]
    return name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")
