"""Notes of a command beside its output, one line each on stderr."""

from __future__ import annotations

import click

from poolscope.reports.printable import page


def say_note(text: str) -> None:
    """Say it, as ours."""
    click.echo(page([f"poolscope: {text}"]), err=True, nl=False)
