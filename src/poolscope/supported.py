"""Where poolscope does not observe, because it was not tested there."""

from __future__ import annotations

import os
import sys
from typing import Final

FREE_THREADED: Final = "not tested on free-threaded Python, so nothing is observed"
NOT_POSIX: Final = "the command needs a POSIX system such as Linux; poolscope.instrument() needs none"


class NotSupportedError(RuntimeError):
    """poolscope does not observe in this interpreter; the text says why."""


def refusal() -> str | None:
    """Why nothing is observed in this interpreter; None if it is."""
    return FREE_THREADED if "t" in getattr(sys, "abiflags", "") else None


def command_refusal() -> str | None:
    """Why the command line does not work on this system; None if it does."""
    return None if os.name == "posix" else NOT_POSIX


def recording_refusal() -> str | None:
    """Why this process cannot be recorded; None if it can."""
    return refusal() or command_refusal()
