"""Findings: habits that cost connections, each with its line of code. One file per rule.

To add a rule: write it beside `client_per_request`, name it in `RULES`, describe it in docs/findings/.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from poolscope.findings.base import Rule
from poolscope.findings.client_per_request import ClientPerRequest
from poolscope.findings.running import Findings
from poolscope.records import Finding, Record

__all__ = ["RULES", "Findings", "Rule", "find", "new_findings"]

RULES: Final[tuple[type[Rule], ...]] = (ClientPerRequest,)


def new_findings() -> Findings:
    """All rules, to be fed one stream of records."""
    return Findings(rule() for rule in RULES)


def find(records: Iterable[Record]) -> list[Finding]:
    """What all rules find in a whole stream of records."""
    findings = new_findings()
    for record in records:
        findings.consume(record)
    return findings.found()
