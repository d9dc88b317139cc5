"""Notes of a command beside its output, one line each on stderr."""

from __future__ import annotations

import sys

import click

from poolscope.recording.stderr import silence
from poolscope.reports.printable import page


def say_note(text: str) -> None:
    """Say it, as ours; if stderr cannot be written, the exit status says enough."""
    try:
        click.echo(page([f"poolscope: {text}"]), err=True, nl=False)
    except OSError:
        silence(sys.stderr)
