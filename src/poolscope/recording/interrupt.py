"""Dying by SIGINT after an unhandled Ctrl-C, as Python does, although a report was made in between."""

from __future__ import annotations

import sys


def interrupted(exit_code: int | None) -> bool:
    """Whether the interpreter is on its way out because of an unhandled KeyboardInterrupt.

    Without ``run`` (``exit_code`` None) the last printed traceback shows it; an interactive interpreter prints many
    and survives.
    """
    if exit_code is not None:
        return exit_code == -2
    last = getattr(sys, "last_type", None)
    interactive = hasattr(sys, "ps1") or "IPython" in sys.modules
    return last is KeyboardInterrupt and not interactive


def remember_interrupt() -> None:
    """Remind the interpreter: it forgets the interrupt when source text is evaluated, as namedtuple does."""
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102  (of a text: code objects do not set the interpreter's flag)
    except KeyboardInterrupt:
        return
