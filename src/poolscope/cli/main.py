"""The ``poolscope`` command. ``run`` goes its own, short way; everything else is `click`'s."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from poolscope.recording.errors import UsageError
from poolscope.recording.options import parse
from poolscope.reports.printable import page
from poolscope.supported import command_refusal, recording_refusal

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None, prog: str = "poolscope") -> None:
    """The entry point. Ends by SystemExit, or as the program that was run ends."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] != ["run"]:
        _commands(words, prog)
    try:
        options = parse(words[1:])
    except UsageError as error:
        _refuse(error)
    if options is None:
        _commands(words, prog)
    reason = recording_refusal()
    if reason is not None:
        _refuse(UsageError(reason))
    from poolscope.cli.run import prepare

    try:
        program = prepare(options)
    except UsageError as error:
        _refuse(error)
    program()


def _commands(words: list[str], prog: str) -> NoReturn:
    reason = command_refusal()
    if reason is not None:
        _end(f"{prog}: {reason}")
    from poolscope.cli.stops import dies_of_signals

    with dies_of_signals():
        from poolscope.cli.commands import commands
        from poolscope.recording.stderr import on_any_terminal

        on_any_terminal()
        try:
            commands.main(args=words, prog_name=prog)
        except OSError as error:  # what click prints itself: help
            _end(f"{prog}: {error.strerror or error}")
    raise SystemExit(0)


def _refuse(error: UsageError) -> NoReturn:
    _end(f"poolscope run: {error}")


def _end(complaint: str) -> NoReturn:
    from poolscope.recording.stderr import print_text, silence

    for stream in (sys.stdout, sys.stderr) if not print_text(page([complaint])) else (sys.stdout,):
        silence(stream)
    raise SystemExit(USAGE_ERROR)
