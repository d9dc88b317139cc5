"""``poolscope lint``: hints from the source alone."""

from __future__ import annotations

from typing import Any, get_args

import click

from poolscope.cli.gated import end_by, gate_options, spare
from poolscope.cli.notes import say_note
from poolscope.lint.formats import HintFormat
from poolscope.recording.stderr import say


@click.command(short_help="Hint at clients that the source builds for one request each.")
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

    Nothing is imported or run. It hints at requests.get() and its like in a loop, and at a client that a loop or a
    function builds for one request: requests.Session, httpx.Client and AsyncClient, aiohttp.ClientSession,
    urllib3.PoolManager. Each request must go to the same server. Doubtful cases and tests are left out, and so are
    environments, node_modules and folders with a name that begins with a dot.

    A hint is not a finding: poolscope run and pytest --poolscope prove it, and say what it costs. All hints are PS101,
    and information: --fail-on PS101 and any fail on them, warning and other codes do not.

    Exits with 4 if --fail-on finds something, with 1 if a file cannot be read, with 2 if a path does not exist or an
    option cannot be read. A file that names none of these libraries is not parsed.
    """
    from poolscope.gate.verdict import GateOptions, gate_for, judged
    from poolscope.lint import findings, output
    from poolscope.lint.files import files

    if given["write_baseline"] is not None:
        spare(files(paths, []), "source", {"--write-baseline": given["write_baseline"]})
    gate = gate_for(GateOptions(**given))
    found = findings.lint(paths, gate.root)
    shown = [finding for finding in found.findings if gate.shows(finding)]
    say(output.render(format_, shown, found.files, found.unread, gate.root), nl=False)
    verdict, words = judged(gate, found.findings, ())
    for text in (*found.unread, *words):
        say_note(text)
    end_by(verdict, trouble=bool(found.unread))
