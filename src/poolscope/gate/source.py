"""Reading somebody's source, which is never run."""

from __future__ import annotations

import ast
import warnings
from typing import Final

LARGEST: Final = 4_000_000
"""Bytes of a source file that is still read."""


def parse(source: str) -> ast.Module:
    """Its tree; what Python would warn of in it is no matter of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)
