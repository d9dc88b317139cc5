"""Parses source files, without running them."""

from __future__ import annotations

import ast
import warnings
from typing import Final

LARGEST: Final = 4_000_000
"""Larger source files are not read, in bytes."""


def parse(source: str) -> ast.Module:
    """The tree of a source, without Python's warnings about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)
