"""The commands as `click` sees them, for everything but a plain ``run``."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from poolscope import __version__
from poolscope.cli.duration import Duration
from poolscope.cli.gated import end_by, gate_options, spare
from poolscope.cli.lint import lint
from poolscope.cli.notes import say_note
from poolscope.cli.stops import Stopped
from poolscope.recording.errors import CommandError
from poolscope.recording.options import OPTIONS, keep_apart
from poolscope.recording.outputs import STDOUT
from poolscope.recording.stderr import say
from poolscope.reports.renderer import FORMAT_HELP, FORMATS, Format, Look, renderer


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it cannot do is one line on stderr, and Ctrl-C is a signal like others."""
        try:
            return super().invoke(ctx)
        except CommandError as error:
            say_note(str(error))
            raise SystemExit(error.status) from None
        except KeyboardInterrupt:
            raise Stopped(signal.SIGINT) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="poolscope")
def commands() -> None:
    """See every connection that a Python program's HTTP clients open, reuse and close."""


def _run_help() -> click.Command:
    """`run` as described to people; running itself never comes here."""
    options: list[click.Parameter] = [
        click.Option(
            [*option.names, option.names[0].lstrip("-").replace("-", "_")],
            metavar=option.metavar,
            is_flag=option.metavar is None,
            help=option.help,
        )
        for option in OPTIONS
    ]
    options.append(click.Argument(["program"], type=click.Path(), nargs=-1, metavar=""))  # for completion
    return click.Command(
        "run",
        params=options,
        help="Run a program unchanged and print what happened to its connections.\n\n"
        "Options come before SCRIPT, -m MODULE or -c CODE; everything after that belongs to the program.\n\n"
        "It ends with the program's own status, or by the same signal. Only if the program ends with 0 does --fail-on"
        " make it 4. It ends with 2, and runs nothing, if an option cannot be read or a file cannot be written.\n\n"
        "The variable POOLSCOPE does the same for a program that is started in another way: POOLSCOPE=1, or"
        " options as in POOLSCOPE='--save calls.jsonl --every 60'.",
        short_help="Run a program and report its connections.",
        options_metavar="[OPTIONS] SCRIPT | -m MODULE | -c CODE [ARGUMENTS]...",
    )


commands.add_command(_run_help())


@commands.command(short_help="Show saved files: as text, JSON, HTML, a trace.")
@click.argument("files", type=click.Path(), nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True, help=FORMAT_HELP
)
@click.option(
    "-o", "--output", type=click.Path(), metavar="FILE", help="Write to FILE instead of stdout (-)."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--source", is_flag=True, help="With --format html: show the lines of code around each call site."
)
@click.option("--no-color", is_flag=True, help="No colours; the NO_COLOR variable does the same.")
@gate_options
def view(
    files: tuple[str, ...],
    format_: Format,
    output: str | None,
    as_json: bool,
    source: bool,
    no_color: bool,
    **given: Any,
) -> None:
    """Show FILES that `run --save` wrote, or is still writing, as one report.

    A folder means all recordings in it; - is standard input.

    Exits with 4 if --fail-on finds something, with 1 if a file holds something else than records, with 2 if a file
    does not exist, cannot be written, or an option cannot be read.
    """
    from poolscope.cli import view as viewing
    from poolscope.gate.verdict import GateOptions, gate_for, judged
    from poolscope.recording.replaced import replaced
    from poolscope.recording.stderr import colored, width

    format_ = "json" if as_json else format_
    output = None if output == STDOUT else output
    recordings = viewing.recordings(files)
    keep_apart(given["write_baseline"], {"-o": output})
    spare(recordings, "recording", {"-o": output, "--write-baseline": given["write_baseline"]})
    color = format_ == "text" and output is None and colored(not no_color, sys.stdout)
    gate = gate_for(GateOptions(**given))
    look = Look(columns=width(), color=color, source=source, shows=gate.shows, root=gate.root)
    with replaced(output, lambda text: say(text, nl=False, color=color)) as write:
        findings = viewing.GatedRenderer(renderer(format_, write, look), gated=any(given.values()))
        notes = viewing.render(recordings, findings)
    verdict, words = judged(gate, findings.found(), findings.lines)
    for text in (*notes, *words):
        say_note(text)
    end_by(verdict, trouble=viewing.has_trouble(notes))


@commands.command(short_help="Compare two saved files, as before and after a fix.")
@click.argument("before", type=click.Path())
@click.argument("after", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(before: str, after: str, as_json: bool) -> None:
    """Compare two files that `run --save` wrote: the cost of connections, by line, and the saving that was promised."""
    from poolscope.cli import diff as differing
    from poolscope.cli import view as viewing
    from poolscope.reports import overview

    notes: list[str] = []
    was, now = (differing.Recording(overview.of(viewing.stream(path, notes))) for path in (before, after))
    for text in notes:
        say_note(text)
    if as_json:
        say(differing.as_json(was, now), nl=False)
    else:
        say(differing.text(was, now, (before, after)), nl=False)
    if viewing.has_trouble(notes):
        raise SystemExit(1)


@commands.command(short_help="Print the page of a finding: PS101.")
@click.argument("code", required=False)
@click.option("--no-color", is_flag=True, help="No colours; the NO_COLOR variable does the same.")
def explain(code: str | None, no_color: bool) -> None:
    """Print what a finding means, how poolscope knows, and how to fix it; without CODE, list them all."""
    from poolscope.cli import explain as explaining

    if code is None:
        say(explaining.listing(), nl=False)
    else:
        explaining.show(code, color=not no_color)


commands.add_command(lint)


@commands.command(short_help="Say whether every hook fits the installed libraries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say which libraries are installed, whether the hooks fit, and what would be missing.

    Exits with 1 if a hook does not fit an installed library.
    """
    from poolscope.cli import doctor as examining

    findings = examining.examine()
    say(examining.as_json(findings) if as_json else examining.text(findings), nl=False)
    if any(finding.status in ("incomplete", "broken") for finding in findings):
        raise SystemExit(1)


@commands.command(short_help="Run the examples and explain their reports.")
@click.option(
    "--delay",
    default=2.0,
    show_default=True,
    metavar="MILLISECONDS",
    help="How long the server waits before each TLS handshake and each answer.",
)
@click.option(
    "--requests", "count", default=1000, show_default=True, help="Requests in each way of the seed program."
)
@click.option("--list", "only_list", is_flag=True, help="Name the examples and what each shows.")
@click.argument("names", nargs=-1)
def demo(delay: float, count: int, only_list: bool, names: tuple[str, ...]) -> None:
    """Run the examples against an embedded server, print their reports and what to look for in them.

    NAMES picks some of them; --list names them all.
    """
    from poolscope.cli import demo as showing

    if only_list:
        say(showing.listing(), nl=False)
    else:
        showing.show(names, delay / 1000, count)


@commands.command(short_help="Look into running processes, live.")
@click.argument("pids", type=click.IntRange(1), nargs=-1, metavar="[PID]...")
@click.option("--json", "as_json", is_flag=True, help="Print one look as a line of JSON; needs no terminal.")
@click.option(
    "--every",
    type=Duration(),
    metavar="SECONDS",
    help="With --json: a line every SECONDS, until the processes end.",
)
def top(pids: tuple[int, ...], as_json: bool, every: float | None) -> None:
    """Show what the connections of running processes do now, and who holds them.

    The processes were started with `poolscope run --live` or with POOLSCOPE=--live. Without PID all your
    processes are shown together; with PID only that process and its children.
    """
    from poolscope.cli import top as showing

    if every is not None and not as_json:
        raise click.UsageError("--every goes with --json: the screen follows by itself")
    if as_json:
        showing.lines(pids, every, say, say_note)
    else:
        showing.show(pids, say_note)


@commands.command(short_help="Record a running process for a while.")
@click.argument("pid", type=click.IntRange(1))
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    default="30s",
    show_default=True,
    metavar="TIME",
    help="How long to record.",
)
@click.option(
    "--wait",
    type=Duration(),
    default="10s",
    show_default=True,
    metavar="TIME",
    help="How long to wait until its main thread runs Python again.",
)
@click.option("--top", "on_screen", is_flag=True, help="Show `poolscope top` meanwhile, instead of a report.")
@click.option(
    "--save", type=click.Path(), metavar="FILE", help="Write every record to FILE, for `poolscope view`."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--no-color", is_flag=True, help="No colours; the NO_COLOR variable does the same.")
def attach(
    pid: int, seconds: float, wait: float, on_screen: bool, save: str | None, as_json: bool, no_color: bool
) -> None:
    """Record the process PID, which was started without poolscope, and report what was seen.

    The process must run on Python 3.14 or later. Ctrl-C ends the recording early. Clients and connections that
    were open before are observed, but their past is not known.
    """
    from poolscope.cli import attach as attaching
    from poolscope.recording.stderr import colored

    if on_screen:
        attaching.screen(pid, seconds, wait, say_note)
    else:
        color = not as_json and colored(not no_color, sys.stdout)
        attaching.report(pid, seconds, wait, save, "json" if as_json else "text", color, say_note)


@commands.command(short_help="Rank the services of a fleet, as Prometheus knows them.")
@click.option("--prometheus", metavar="URL", help="Address of Prometheus: http://host:9090.  [required]")
@click.option(
    "--since", default="1h", show_default=True, metavar="RANGE", help="How far to look back: 15m, 1h, 7d."
)
@click.option(
    "--timeout",
    type=Duration(),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long all queries together may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("files", type=click.Path(), nargs=-1, metavar="")
def report(prometheus: str | None, since: str, timeout: float, as_json: bool, files: tuple[str, ...]) -> None:
    """Rank the services that send their metrics to a Prometheus by the seconds they spend on setup."""
    from poolscope.cli import fleet

    if files:
        raise click.UsageError(f"report asks a Prometheus; for saved files: poolscope view {' '.join(files)}")
    if prometheus is None:
        raise click.UsageError("Missing option '--prometheus'. (For a saved file: poolscope view FILE.)")
    services = fleet.read(prometheus, since, timeout)
    say(fleet.as_json(services, since) if as_json else fleet.text(services, since), nl=False)
