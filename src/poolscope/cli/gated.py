"""Options that make a command fail because of findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from poolscope.recording.gate import FAILED
from poolscope.recording.options import GATE_OPTIONS

if TYPE_CHECKING:
    from poolscope.gate.verdict import Verdict

_Command = TypeVar("_Command", bound=Callable[..., Any])


def gate_options(command: _Command) -> _Command:
    """Add the gate options of `run` to a click command."""
    for option in reversed(GATE_OPTIONS):
        command = click.option(
            *option.names,
            option.attribute,
            metavar=option.metavar,
            multiple=option.attribute == "ignore",
            help=option.help,
        )(command)
    return command


def end_by(verdict: Verdict, *, trouble: bool) -> None:
    """Exit with the status of the verdict, or of other trouble; return if all is well."""
    if verdict.errors:
        raise SystemExit(2)
    if trouble:
        raise SystemExit(1)
    if verdict.failing:
        raise SystemExit(FAILED)
