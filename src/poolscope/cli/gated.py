"""Options that make a command fail because of findings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from poolscope.recording.errors import UsageError
from poolscope.recording.gate import FAILED
from poolscope.recording.options import GATE_OPTIONS

if TYPE_CHECKING:
    from poolscope.gate.verdict import Verdict

STDIN: Final = "-"
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


def spare(files: Iterable[str], what: str, written: Mapping[str, str | None]) -> None:
    """UsageError if a file that will be ``written``, by option, is among those that are read: it would be lost."""
    targets = {option: path for option, path in written.items() if path is not None and os.path.isfile(path)}
    for file in files if targets else ():
        for option, path in targets.items():
            with suppress(OSError):
                if os.path.samefile(path, 0 if file == STDIN else file):
                    raise UsageError(f"{option} {path!r} is the {what} itself, and would replace it")


def end_by(verdict: Verdict, *, trouble: bool) -> None:
    """Exit with the status of the verdict, or of other trouble; return if all is well."""
    if verdict.errors:
        raise SystemExit(2)
    if trouble:
        raise SystemExit(1)
    if verdict.failing:
        raise SystemExit(FAILED)
