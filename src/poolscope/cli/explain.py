"""``poolscope explain``: the page of a finding."""

from __future__ import annotations

import sys

from poolscope.findings import RULES
from poolscope.findings.pages import page
from poolscope.gate.codes import code
from poolscope.recording.stderr import colored, say, width


def listing() -> str:
    """Every code and its title, one a line."""
    return "".join(f"{rule.code} {rule.title}\n" for rule in RULES)


def show(name: str, *, color: bool) -> None:
    """Print a page: formatted on a terminal, else its plain text. UsageError if there is no such finding."""
    text = page(code(name, "explain"))
    if not colored(color, sys.stdout):
        say(text, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=min(100, width())).print(Markdown(text))
