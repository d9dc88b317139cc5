"""Which OpenTelemetry the signals need; asked before anything of it is used."""

from __future__ import annotations

import re
from typing import Final

LOWEST: Final = "1.38"
"""The first API with loggers that take an event as plain values; everything else that we call is older."""


class VariableError(ValueError):
    """A variable of the environment has a value that cannot be used; the text names it."""


def api() -> str | None:
    """The version of the OpenTelemetry API that can be imported; None without one."""
    try:
        from opentelemetry.version import __version__
    except ImportError:  # a namespace package of that name may be there all the same
        return None
    return str(__version__)


def too_old(version: str) -> str | None:
    """What to say about an API, or an SDK, that is too old; None if it is new enough."""
    if _numbers(version) >= _numbers(LOWEST):
        return None
    return f"OpenTelemetry {version} is too old, {LOWEST} is the lowest that works"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:2]]
