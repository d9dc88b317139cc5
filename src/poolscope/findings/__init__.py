"""Findings: habits that cost connections, each with its line of code. One file per rule.

To add a rule: write it beside `client_per_request`, name it in `RULES`, describe it in docs/findings.md.
"""

from __future__ import annotations

from typing import Final

from poolscope.findings.base import Rule
from poolscope.findings.client_per_request import ClientPerRequest

__all__ = ["RULES", "Rule", "new_rules"]

RULES: Final[tuple[type[Rule], ...]] = (ClientPerRequest,)


def new_rules() -> tuple[Rule, ...]:
    """A fresh instance of every rule, to be fed one stream of records."""
    return tuple(rule() for rule in RULES)
