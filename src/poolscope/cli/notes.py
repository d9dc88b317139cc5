"""Notes of a command beside its output, one line each on stderr."""

from __future__ import annotations

from collections.abc import Sequence

import click

from poolscope.reports.printable import page


def say_notes(notes: Sequence[str]) -> None:
    """Say each of them, as ours."""
    for text in notes:
        click.echo(page([f"poolscope: {text}"]), err=True, nl=False)
