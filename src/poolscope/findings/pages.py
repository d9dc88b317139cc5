"""The page of each finding, as in docs/findings/: from the installed package, or beside ``src/``."""

from __future__ import annotations

import os
from typing import Final

_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PLACES: Final = (
    os.path.join(_PACKAGE, "findings", "text"),
    os.path.join(_PACKAGE, "..", "..", "docs", "findings"),
)


def page(code: str) -> str:
    """The page of a code, in Markdown; LookupError if it is not installed."""
    for place in PLACES:
        path = os.path.join(place, f"{code}.md")
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                return file.read()
    raise LookupError(f"the page of {code} is not installed")
