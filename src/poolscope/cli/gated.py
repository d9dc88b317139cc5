"""Options that make a command fail because of findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from poolscope.recording.options import GATE_OPTIONS

if TYPE_CHECKING:
    from poolscope.gate.verdict import GateOptions

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


def options_of(options: dict[str, Any]) -> GateOptions:
    """The values of those options."""
    from poolscope.gate.verdict import GateOptions

    return GateOptions(options["fail_on"], options["ignore"], options["baseline"], options["write_baseline"])
