"""Runs all rules on one stream: each record goes to the rules that read its kind; a rule that raises is switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from poolscope.findings.base import Rule
from poolscope.findings.causes import one_each
from poolscope.findings.clock import Clock
from poolscope.findings.known import Known
from poolscope.records import Client, Connection, Exchange, Finding, Pool, Record

SMALL: Final = 0.05
"""Seconds of cost below which a finding may be info…"""
SMALL_SHARE: Final = 0.01
"""…if they are also less than this share of the run."""

_READERS: Final = {Client: "client", Pool: "pool", Connection: "connection", Exchange: "exchange"}
_PROGRESS: Final = "progress"

_Reader = tuple[Rule, Callable[[Any], None]]


class Findings:
    """Feed it records with `consume`; `found` returns the findings."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = list(rules)
        self._known = Known()
        for rule in self.rules:
            rule.known = self._known
        self.failed: dict[str, str] = {}
        """Code → class name of the exception that switched its rule off."""
        self._clock = Clock()
        self._arrange()

    def __repr__(self) -> str:
        return f"<Findings of {len(self.rules)} rules, {len(self.failed)} switched off>"

    def _arrange(self) -> None:
        self._readers: dict[type, tuple[_Reader, ...]] = {
            kind: tuple((rule, getattr(rule, name)) for rule in self.rules if _defines(rule, name))
            for kind, name in _READERS.items()
        }
        self._watching: tuple[_Reader, ...] = tuple(
            (rule, rule.progress) for rule in self.rules if _defines(rule, _PROGRESS)
        )
        self._needing = tuple(rule for rule in self.rules if _defines(rule, "needs"))

    def consume(self, record: Record) -> None:
        """Take in the next record of the stream."""
        self._clock.consume(record)
        self._known.consume(record)
        readers: tuple[_Reader, ...] = self._readers.get(type(record), ())
        if isinstance(record, Exchange) and record.state is not None:
            readers = self._watching
        for rule, read in readers:
            try:
                read(record)
            except Exception as error:
                self._switch_off(rule, error)

    def know(self, record: Record) -> None:
        """Something from before the stream began: rules may look it up, but do not count it as new."""
        self._known.consume(record)

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        """Whether any rule needs an ordinary exchange."""
        for rule in self._needing:
            try:
                if rule.needs(pid, client, origin):
                    return True
            except Exception as error:
                self._switch_off(rule, error)
        return False

    def found(self) -> list[Finding]:
        """The findings so far, by rule; the call changes nothing."""
        found = one_each(finding for rule in list(self.rules) for finding in self._ask(rule))
        by_cost = {rule.code for rule in self.rules if rule.by_cost}
        costs: dict[object, float] = {}
        for finding in found:
            if finding.severity == "warning":
                costs[_line(finding)] = costs.get(_line(finding), 0.0) + (finding.cost or 0.0)
        return [
            self._weighed(finding, costs.get(_line(finding), 0.0)) if finding.code in by_cost else finding
            for finding in found
        ]

    def _ask(self, rule: Rule) -> list[Finding]:
        try:
            return rule.findings()
        except Exception as error:
            self._switch_off(rule, error)
            return []

    def _weighed(self, finding: Finding, cost: float) -> Finding:
        """``cost`` is that of its line, with all servers that it has the habit with."""
        small = (
            finding.cost is not None
            and cost < SMALL
            and cost < SMALL_SHARE * self._clock.elapsed(finding.pid)
        )
        return replace(finding, severity="info") if small else finding

    def _switch_off(self, rule: Rule, error: Exception) -> None:
        self.failed[rule.code] = type(error).__name__
        self.rules = [other for other in self.rules if other is not rule]
        self._arrange()


def _line(finding: Finding) -> tuple[object, ...]:
    """What its fix would change: a line, else a server."""
    site = (finding.call_site, finding.sdk_call_site)
    return (finding.pid, finding.code, finding.kind, *(site if any(site) else (finding.origin,)))


def _defines(rule: Rule, name: str) -> bool:
    return getattr(type(rule), name) is not getattr(Rule, name)
