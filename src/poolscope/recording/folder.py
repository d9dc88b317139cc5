"""The current folder, which may have been deleted."""

from __future__ import annotations

import os


def current() -> str:
    """Its path; the root where it has none any more."""
    try:
        return os.getcwd()
    except OSError:
        return os.sep
