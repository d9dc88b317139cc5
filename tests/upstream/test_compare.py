"""The comparison itself must notice what changed, and not blame tests that were unstable before."""

from __future__ import annotations

from tests.upstream.compare import ABSENT, judge

CALM = {f"test_{number}": "passed" for number in range(999)}


def with_outcome(outcome: str) -> dict[str, str]:
    return {**CALM, "test_it": outcome}


def test_equal_runs_are_good() -> None:
    verdict = judge([CALM, CALM, CALM], CALM)
    assert verdict.good
    assert len(verdict.stable) == verdict.tests == 999


def test_a_stable_test_that_fails_when_watched_is_a_change() -> None:
    verdict = judge([with_outcome("passed")] * 3, with_outcome("failed"))
    assert not verdict.good
    assert verdict.changed == {"test_it": ("passed", "failed")}


def test_a_stable_failure_that_passes_when_watched_is_a_change_too() -> None:
    assert judge([with_outcome("failed")] * 3, with_outcome("passed")).changed == {
        "test_it": ("failed", "passed")
    }


def test_a_test_that_vanishes_or_appears_is_a_change() -> None:
    assert judge([with_outcome("passed")] * 3, CALM).changed == {"test_it": ("passed", ABSENT)}
    assert judge([CALM] * 3, with_outcome("passed")).changed == {"test_it": (ABSENT, "passed")}


def test_an_unstable_test_is_listed_and_not_compared() -> None:
    verdict = judge([with_outcome("passed"), with_outcome("failed"), CALM], with_outcome("failed"))
    assert verdict.unstable == {"test_it": ("passed", "failed", ABSENT)}
    assert verdict.good


def test_too_many_unstable_tests_are_not_good() -> None:
    def flaky(count: int) -> bool:
        other = {**CALM, **{f"test_{number}": "failed" for number in range(count)}}
        return judge([CALM, other, CALM], CALM).good

    assert flaky(4)  # 4 of 999 is 0.4 %
    assert not flaky(5)  # 5 of 999 is just above 0.5 %


def test_a_test_that_changes_bare_as_well_is_not_blamed() -> None:
    verdict = judge([with_outcome("passed")] * 3, with_outcome("failed"))
    verdict.acquit("test_it", ("passed", "failed"))
    assert verdict.good
    assert verdict.unstable == {"test_it": ("passed", "failed", "passed", "failed")}


def test_nothing_run_is_not_good() -> None:
    assert not judge([{}, {}, {}], {}).good
