"""Reports the session: findings of all tests, from all processes, and the gate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import pytest

from poolscope.gate.verdict import GateOptions, Verdict, gate_for, named, sentences
from poolscope.records import CallSite
from poolscope.reports.printable import page
from poolscope.reports.words import count
from poolscope.under_pytest.outputs import Outputs
from poolscope.under_pytest.shown import Key, Shown
from poolscope.under_pytest.watcher import ATTRIBUTE, OUTPUT

NAMED: Final = 3
"""Tests that are named with a finding."""
PREFIX: Final = "--poolscope-"
WHOLE: Final = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
"""Exit codes of sessions in which the tests ran."""


class Habit(NamedTuple):
    """A finding of the session: its most expensive occurrence, and all tests that showed it."""

    largest: Shown
    tests: list[str]


class Reporter:
    """The plugin of the process that reports."""

    def __init__(self, config: pytest.Config) -> None:
        """UsageError if an option or a setting cannot be read."""
        option = config.getoption
        self._config = config
        options = GateOptions(
            option("poolscope_fail_on"),
            option("poolscope_ignore") or (),
            option("poolscope_baseline"),
            option("poolscope_write_baseline"),
            PREFIX,
        )
        self._gate = gate_for(options, str(config.rootpath))
        self._across = bool(option("poolscope_across_tests"))
        self._outputs = Outputs(option("poolscope_report") or ())
        self._habits: dict[Key, list[Shown]] = {}
        self._together: dict[Key, Shown] = {}
        """What only several tests showed."""
        self._lines: set[CallSite] = set()
        self._blind: dict[str, None] = {}
        self._lost: list[str] = []
        """Workers of pytest-xdist that ended without a word."""
        self._verdict = Verdict()

    def __repr__(self) -> str:
        return f"<Reporter of {len(self._habits)} findings>"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test's end says what it showed, wherever it ran."""
        for plain in getattr(report, ATTRIBUTE, ()):
            shown = Shown.from_plain(plain)
            self._habits.setdefault(shown.key, []).append(shown)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of pytest-xdist is done; a killed one has said nothing."""
        output = getattr(node, "workeroutput", {}).get(ATTRIBUTE)
        if output is None:
            self._lost.append(node.gateway.id)
        self._take(output)

    def _take(self, output: dict[str, Any] | None) -> None:
        if output is None:
            return
        for plain in output["shown"]:
            shown = Shown.from_plain(plain)
            self._together.setdefault(shown.key, shown)
        self._lines.update(CallSite(*line) for line in output["lines"])
        self._blind.update(dict.fromkeys(output["blind"]))
        if output["dropped"]:
            self._blind[f"{count(output['dropped'], 'fact')} dropped because the queue was full"] = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """The gate: a failing finding makes the session fail, and changes nothing else."""
        self._take(session.config.stash.get(OUTPUT, None))
        judged = self._shown()
        found = [habit.largest.finding for habit in judged]
        whole = _is_whole(session) and not self._lost
        self._verdict = self._gate.judge(found, self._lines, whole=whole)
        self._verdict.errors += self._outputs.write(
            [habit.largest for habit in judged if self._shows(habit)], self._gate.root
        )
        if self._lost and self._gate.fail_on:
            self._verdict.errors.append(f"{PREFIX}fail-on cannot pass without {self._missing()}")
        passed = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if self._verdict.errors and session.exitstatus in passed:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif self._verdict.failing and session.exitstatus in passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _shown(self) -> list[Habit]:
        """The findings that count, the most expensive first."""
        habits = [
            Habit(max(each, key=_cost), [one.test or "" for one in each]) for each in self._habits.values()
        ]
        if self._across:
            habits += [Habit(shown, []) for shown in self._only_together()]
        return sorted(habits, key=lambda habit: -_cost(habit.largest))

    def _only_together(self) -> list[Shown]:
        return [shown for key, shown in self._together.items() if key not in self._habits]

    def _shows(self, habit: Habit) -> bool:
        return self._gate.shows(habit.largest.finding)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The section: findings with their lanes, then the verdict of the gate."""
        terminal = terminalreporter
        terminal.section("poolscope")
        habits = [habit for habit in self._shown() if self._shows(habit)]
        for habit in habits:
            shown = habit.largest
            terminal.write(page([*shown.words.splitlines(), f"  tests   {_tests(habit.tests)}", ""]))
            terminal.write(page([*shown.lanes.splitlines(), ""]))
        if not habits:
            terminal.write_line(
                "no findings in what was seen" if self._blind or self._lost else "no findings"
            )
        for text in self._afterwords():
            terminal.write(page([text]))
        for text in sentences(self._verdict, self._gate.root):
            terminal.write(page([text]), red=text.startswith("failed: "), bold=text.startswith("failed: "))
        self._outputs.announce(terminal)

    def _afterwords(self) -> Iterable[str]:
        for shown in () if self._across else self._only_together():
            if self._gate.shows(shown.finding):
                yield f"shown only by several tests together, so it does not fail (--poolscope-across-tests): {named(shown.finding, self._gate.root)}"
        for text in self._blind:
            yield f"not seen: {text}"
        if self._lost:
            yield f"not seen: {self._missing()}"

    def _missing(self) -> str:
        """The workers that were killed took what they had seen with them."""
        if len(self._lost) == 1:
            return f"what the worker {self._lost[0]} saw, because it ended before it could report it"
        return f"what {len(self._lost)} workers saw, because they ended before they could report it"


def _is_whole(session: pytest.Session) -> bool:
    """Whether every test that was chosen ran: not after Ctrl-C, ``-x``, or where tests were only listed."""
    if session.shouldstop or session.shouldfail or session.config.getoption("collectonly"):
        return False
    return session.exitstatus in WHOLE


def _cost(shown: Shown) -> float:
    return shown.finding.cost or 0.0


def _tests(tests: list[str]) -> str:
    if not tests:
        return "several tests together"
    more = f" and {len(tests) - NAMED:,} more" if len(tests) > NAMED else ""
    return ", ".join(tests[:NAMED]) + more
