"""Findings for the tests of a gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from poolscope.records import CallSite, Finding

WHERE = CallSite("shop/prices.py", 3, "Shop.price")


def finding(root: Path | None = None, **changes: Any) -> Finding:
    """PS101 of ``shop/prices.py`` below ``root``."""
    site = WHERE if root is None else replace(WHERE, file=str(root / WHERE.file))
    plain = Finding(
        pid=1,
        code="PS101",
        title="client per request",
        origin="https://api.partner.example",
        call_site=site,
        sdk_call_site=None,
        count=5,
        cost=0.1,
        saving=None,
        fix="Share it.",
        sentence="It was built 5 times.",
        kind="requests.get",
    )
    return replace(plain, **changes)
