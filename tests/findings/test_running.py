"""All rules on one stream: each is called only for the records it reads, and a rule that raises does not stop the
others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from poolscope.findings.base import Rule
from poolscope.findings.running import SMALL, SMALL_SHARE, Findings
from poolscope.records import Connection, Exchange, Finding
from tests.reports.stories import LINE, ORIGIN, Story


class Dear(Rule):
    """A rule that finds everything expensive."""

    code: ClassVar[str] = "PS001"
    title: ClassVar[str] = "dear"
    cost: float | None = 1.0

    def findings(self) -> list[Finding]:
        return [Finding(100, self.code, self.title, ORIGIN, LINE, None, 1, self.cost, None, "pay less")]


class Reading(Rule):
    """A rule that remembers the connections it gets."""

    code: ClassVar[str] = "PS002"
    title: ClassVar[str] = "reading"

    def __init__(self) -> None:
        self.seen: list[Connection] = []

    def connection(self, record: Connection) -> None:
        self.seen.append(record)

    def findings(self) -> list[Finding]:
        return []


class Broken(Rule):
    """A rule that raises in a given place."""

    code: ClassVar[str] = "PS003"
    title: ClassVar[str] = "broken"

    def exchange(self, record: Exchange) -> None:
        raise ZeroDivisionError

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        raise KeyError("no")

    def findings(self) -> list[Finding]:
        raise ValueError("no")


def fed(*rules: Rule) -> Findings:
    story = Story()
    story.header()
    story.throwaway()
    findings = Findings(rules)
    for record in story.records:
        findings.consume(record)
    return findings


def test_a_rule_gets_what_it_reads() -> None:
    reading = Reading()
    fed(reading)
    assert [type(record) for record in reading.seen] == [Connection, Connection]


def test_a_rule_that_raises_is_switched_off_and_reported() -> None:
    findings = fed(Broken(), Dear())
    assert findings.failed == {"PS003": "ZeroDivisionError"}
    assert [finding.code for finding in findings.found()] == ["PS001"]


def test_wherever_it_raises() -> None:
    asked = Findings([Broken(), Dear()])
    assert asked.needs(100, None, ORIGIN) is False
    assert asked.failed == {"PS003": "KeyError"}
    found = Findings([Broken(), Dear()])
    assert [finding.code for finding in found.found()] == ["PS001"]
    assert found.failed == {"PS003": "ValueError"}


def found_after(seconds: float, rule: Rule) -> list[Finding]:
    story = Story()
    story.header()
    story.now = seconds
    story.summary()
    findings = Findings([rule])
    for record in story.records:
        findings.consume(record)
    return findings.found()


def weighed(cost: float | None, ran: float, rule: Dear | None = None) -> str:
    rule = rule or Dear()
    rule.cost = cost
    return found_after(ran, rule)[0].severity


def test_what_costs_next_to_nothing_is_info() -> None:
    assert weighed(SMALL - 0.001, ran=60.0) == "info"
    assert weighed(SMALL, ran=60.0) == "warning"
    assert weighed(0.01, ran=0.01 / SMALL_SHARE + 0.1) == "info"
    assert weighed(0.01, ran=0.01 / SMALL_SHARE - 0.1) == "warning"
    assert weighed(None, ran=60.0) == "warning"


@pytest.mark.parametrize(("servers", "severity"), [(1, "info"), (2, "warning")])
def test_what_a_line_costs_is_the_sum_over_its_servers(servers: int, severity: str) -> None:
    class OfServers(Dear):
        cost = SMALL - 0.01

        def findings(self) -> list[Finding]:
            (one,) = super().findings()
            return [replace(one, origin=f"http://host{number}.test") for number in range(servers)]

    assert {finding.severity for finding in found_after(60.0, OfServers())} == {severity}


def test_what_is_information_for_its_own_reason_makes_nothing_else_a_warning() -> None:
    class Harmless(Dear):
        cost = SMALL - 0.01

        def findings(self) -> list[Finding]:
            (one,) = super().findings()
            return [replace(one, origin="http://streams.test", cost=9.0, severity="info"), one]

    assert [finding.severity for finding in found_after(60.0, Harmless())] == ["info", "info"]


def test_a_finding_about_more_than_time_stays_a_warning() -> None:
    class Failing(Dear):
        by_cost = False

    assert weighed(0.0, ran=60.0, rule=Failing()) == "warning"


def test_processes_have_clocks_of_their_own() -> None:
    findings = Findings([Dear()])
    for pid, until in ((100, 0.5), (101, 500.0)):
        story = Story(pid=pid)
        story.header()
        story.now = until
        story.summary()
        for record in story.records:
            findings.consume(record)
    (finding,) = findings.found()
    assert finding == replace(Dear().findings()[0], severity="warning")


def test_records_that_no_rule_reads_call_no_rule() -> None:
    assert not any(Findings([Dear()])._readers.values())
