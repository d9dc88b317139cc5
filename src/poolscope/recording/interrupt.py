"""Dying by SIGINT after an unhandled Ctrl-C, as Python does, although a report was made in between."""

from __future__ import annotations

import sys


def interrupted(exit_code: int | None) -> bool:
    """Whether the interpreter is on its way out because of an unhandled KeyboardInterrupt.

    Without ``run`` (``exit_code`` None) it shows in what was printed last; an interactive session prints
    many and survives them.
    """
    if exit_code is not None:
        return exit_code == -2
    last = getattr(sys, "last_type", None)
    interactive = hasattr(sys, "ps1") or "IPython" in sys.modules
    return isinstance(last, type) and issubclass(last, KeyboardInterrupt) and not interactive


def remember_interrupt() -> None:
    """Tell the interpreter again: it forgets when a source text is evaluated, which namedtuple does."""
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102  (of a text: code objects do not set the interpreter's flag)
    except KeyboardInterrupt:
        return
