"""``poolscope lint``: hints from the source alone."""

from __future__ import annotations

from typing import Any, get_args

import click

from poolscope.cli.gated import gate_options, options_of
from poolscope.cli.notes import say_note
from poolscope.lint.formats import HintFormat
from poolscope.recording.gate import FAILED
from poolscope.recording.stderr import say


@click.command(short_help="Find in the source what PS101 would find in a run.")
@click.argument("paths", type=click.Path(), nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--format",
    "format_",
    type=click.Choice(get_args(HintFormat)),
    default="text",
    show_default=True,
    help="text; json, for programs; sarif, for code scanning; github and gitlab, for what reviews show beside a line.",
)
@gate_options
def lint(paths: tuple[str, ...], format_: HintFormat, **given: Any) -> None:
    """Read Python files, and those of folders, for clients that are built for one request each.

    Nothing is imported or run. It hints at requests.get() and its like in a loop, and at a client (requests.Session,
    httpx.Client, aiohttp.ClientSession, urllib3.PoolManager, ...) that a loop or a function builds for one request to
    a server that is always the same. A hint is not a finding: poolscope run and pytest --poolscope prove it, and say
    what it costs.

    Hints are information: --fail-on PS101 or any fails on them, warning does not. Doubtful cases and tests are
    left out.

    Exits with 4 if --fail-on finds something, with 1 if a file could not be read, with 2 if a path does not exist.
    """
    from poolscope.gate.verdict import gate_for, judged
    from poolscope.lint import findings, output

    gate = gate_for(options_of(given))
    found = findings.lint(paths, gate.root)
    shown = [finding for finding in found.findings if gate.shows(finding)]
    say(output.render(format_, shown, found.files, found.unread, gate.root), nl=False)
    verdict, words = judged(gate, found.findings, ())
    for text in (*found.unread, *words):
        say_note(text)
    if verdict.errors:
        raise SystemExit(2)
    if found.unread:
        raise SystemExit(1)
    if verdict.failing:
        raise SystemExit(FAILED)
