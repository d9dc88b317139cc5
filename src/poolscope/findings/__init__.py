"""Findings: habits that cost connections, each with its line of code. One file per rule.

To add a rule: write it beside `client_per_request`, name it in `RULES`, describe it in docs/findings.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from poolscope.findings.base import Rule
from poolscope.findings.client_per_request import ClientPerRequest
from poolscope.records import Finding, Record

__all__ = ["RULES", "Rule", "find", "new_rules"]

RULES: Final[tuple[type[Rule], ...]] = (ClientPerRequest,)


def new_rules() -> tuple[Rule, ...]:
    """A fresh instance of every rule, to be fed one stream of records."""
    return tuple(rule() for rule in RULES)


def find(records: Iterable[Record]) -> list[Finding]:
    """What all rules find in a whole stream of records."""
    rules = new_rules()
    for record in records:
        for rule in rules:
            rule.consume(record)
    return [finding for rule in rules for finding in rule.findings()]
