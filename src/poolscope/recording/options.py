"""The options of ``run``, in one table: read by hand, because `click` costs more than a short program.

``run`` must start fast, and must leave everything behind the script's name to the script. `click` gets
the same table when somebody asks for help.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from poolscope.recording.errors import UsageError
from poolscope.reports.renderer import FORMAT_HELP, FORMATS, Format


class Options:
    """The options of a run. Not a dataclass: those need `inspect`, which takes milliseconds to load."""

    def __init__(self) -> None:
        self.save: str | None = None
        self.output: str | None = None
        self.format: Format = "text"
        self.quiet = False
        self.origin: list[str] = []
        self.follow = True
        self.every: float | None = None
        self.keep_query = False
        self.keep_path = False
        self.no_color = False
        self.dump_on: int | None = None
        self.otlp: str | None = None
        self.live = False
        self.fail_on: str | None = None
        self.ignore: list[str] = []
        self.baseline: str | None = None
        self.write_baseline: str | None = None
        self.module: str | None = None
        self.code: str | None = None
        self.arguments: list[str] = []
        """The script, if neither module nor code is given, and the program's arguments."""

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in vars(self).items() if value and name not in _SECRET]
        return f"<Options {' '.join(shown)}>"


_SECRET: Final = ("code", "arguments")


class WrongValueError(UsageError):
    """An option has a wrong value. `parse_variable` does not show the value, because it may hold a secret."""

    def __str__(self) -> str:
        wanted, value = self.args
        return f"{wanted}, not {value!r}"


class Option(NamedTuple):
    """One option: its names, the attribute that gets its value, and its help."""

    names: tuple[str, ...]
    attribute: str
    metavar: str | None
    help: str
    ends: bool = False
    """Everything after it belongs to the program."""
    value: bool | str = True
    """The value that it sets if it takes none itself."""


GATE_OPTIONS: Final = (
    Option(
        ("--fail-on",),
        "fail_on",
        "CODES",
        "Exit with 4 if there is one of these findings: PS101,PS103, or warning, or any.",
    ),
    Option(
        ("--ignore",),
        "ignore",
        "FINDING",
        "Ignore a code, as in PS106, PS101:scripts/*.py or PS106@*.partner.example; may be repeated.",
    ),
    Option(("--baseline",), "baseline", "FILE", "Accept the findings that FILE lists."),
    Option(
        ("--write-baseline",),
        "write_baseline",
        "FILE",
        "Write today's findings to FILE, and accept them.",
    ),
)
"""The options that decide whether a command fails; `view` has them too."""
OPTIONS: Final = (
    Option(
        ("--save",),
        "save",
        "FILE",
        "Write every record to FILE as JSON Lines, while the program runs; %p in it is the process id.",
    ),
    Option(
        ("-o", "--output"), "output", "FILE", "Write the report to FILE, or - for stdout, instead of stderr."
    ),
    Option(("--format",), "format", "FORMAT", f"What -o FILE becomes (all but text need -o): {FORMAT_HELP}"),
    Option(("--json",), "format", None, "The same as --format json; needs -o, too.", value="json"),
    Option(
        ("--quiet",),
        "quiet",
        None,
        "Print nothing of poolscope's on stderr; -o and --save write their files.",
    ),
    Option(
        ("--origin",), "origin", "PATTERN", "Only origins that match, as in '*.example.com'; may be repeated."
    ),
    Option(("--follow",), "follow", None, "Follow Python child processes: the default."),
    Option(
        ("--no-follow",), "follow", None, "Follow only forks, no other Python child processes.", value=False
    ),
    Option(("--every",), "every", "SECONDS", "Print the report so far every SECONDS."),
    Option(("--keep-query",), "keep_query", None, "Keep the values of URL queries (they may be secrets)."),
    Option(("--keep-path",), "keep_path", None, "Keep the parts of URL paths that look like a secret."),
    Option(("--no-color",), "no_color", None, "No colours; the NO_COLOR variable does the same."),
    Option(("--dump-on",), "dump_on", "SIGNAL", "Print the report so far when SIGNAL arrives, e.g. USR1."),
    Option(("--otlp",), "otlp", "ENDPOINT", "Send spans, metrics and events to an OpenTelemetry collector."),
    Option(("--live",), "live", None, "Let `poolscope top` of the same user look into the running program."),
    *GATE_OPTIONS,
    Option(("-m",), "module", "MODULE", "Run a module instead of a script.", ends=True),
    Option(("-c",), "code", "CODE", "Run CODE instead of a script.", ends=True),
)

_BY_NAME: Final = {name: option for option in OPTIONS for name in option.names}
HELP: Final = ("-h", "--help")


def parse(arguments: Sequence[str]) -> Options | None:
    """Options up to the program's name; None if help was asked for. UsageError if it cannot be read."""
    options = Options()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in HELP:
            return None
        if word == "--":
            break
        if word == "-" or not word.startswith("-"):
            rest.insert(0, word)
            break
        if _take(options, word, rest):
            break
    options.arguments = rest
    if options.module is None and options.code is None and not rest:
        raise UsageError("nothing to run: give a script, -m MODULE or -c CODE")
    _check(options)
    return options


def parse_variable(value: str) -> Options:
    """Options from the POOLSCOPE variable: ``1``, or options as on the command line. UsageError if it cannot be read."""
    options = Options()
    import shlex

    try:
        rest = shlex.split(value)
        while rest:
            word = rest.pop(0)
            if word.startswith("-") and word not in ("-m", "-c"):
                _take(options, word, rest)
            elif word.lower() not in ("1", "true", "yes", "on"):
                raise UsageError("it is neither 1 nor options of poolscope run")
        _check(options)
    except (UsageError, ValueError) as error:
        raise UsageError(f"the variable POOLSCOPE: {error.args[0]}") from None
    if options.fail_on is not None:
        raise UsageError(
            "--fail-on in POOLSCOPE cannot change how a program ends: use poolscope run, or --save FILE and"
            " afterwards poolscope view FILE --fail-on"
        )
    return options


def _check(options: Options) -> None:
    """Only text may go to stderr, between the program's own output; and no file may replace another one."""
    keep_apart(options.write_baseline, {"--save": options.save, "-o": options.output})
    if options.format != "text" and options.output is None and not options.quiet:
        raise UsageError(f"--format {options.format} cannot go to stderr: add -o FILE, or -o - for stdout")


def keep_apart(baseline: str | None, written: Mapping[str, str | None]) -> None:
    """UsageError if ``--write-baseline`` would replace what another option has ``written``."""
    for option, path in written.items():
        if baseline is not None and path is not None and os.path.realpath(baseline) == os.path.realpath(path):
            raise UsageError(f"--write-baseline {baseline!r} would replace what {option} writes")


def _take(options: Options, word: str, rest: list[str]) -> bool:
    name, attached = _split(word)
    option = _BY_NAME.get(name)
    if option is None:
        raise UsageError(f"no such option: {_name_in(name)} (options of the program come after its name)")
    if option.metavar is None:
        if attached is not None:
            raise UsageError(f"{name} takes no value")
        setattr(options, option.attribute, option.value)
        return False
    if attached is None:
        if not rest or (rest[0].startswith("--") and not option.ends):
            raise UsageError(f"{name} needs a value: {name} {option.metavar}")
        attached = rest.pop(0)
    _store(options, option, attached)
    return option.ends


def _split(word: str) -> tuple[str, str | None]:
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    return word[:2], word[2:] or None


def _name_in(word: str) -> str:
    """Its beginning that may be a name: an address may follow, with a secret in it."""
    return "".join(takewhile(lambda letter: letter.isalpha() or letter == "-", word))


def _store(options: Options, option: Option, value: str) -> None:
    if option.attribute in ("origin", "ignore"):
        getattr(options, option.attribute).append(value)
    elif option.attribute == "every":
        options.every = _seconds(value)
    elif option.attribute == "format":
        options.format = _format(value)
    elif option.attribute == "dump_on":
        options.dump_on = _signal(value)
    elif option.attribute == "otlp":
        from poolscope.recording.endpoint import parse_endpoint

        parse_endpoint(value)
        options.otlp = value
    elif option.attribute in ("save", "output", "baseline", "write_baseline"):
        if not value or "://" in value:
            raise UsageError(f"{option.names[0]} needs a file name")
        if option.attribute == "save" and value == "-":
            raise UsageError("--save cannot go to stdout, which is the program's: name a file or a pipe")
        on_stdout = option.attribute == "output" and value == "-"
        setattr(options, option.attribute, value if on_stdout else _absolute(value, option))
    else:
        setattr(options, option.attribute, value)


def _absolute(path: str, option: Option) -> str:
    try:
        return os.path.abspath(path)
    except OSError:
        raise UsageError(f"{option.names[0]} {path!r} is nowhere: the current folder was deleted") from None


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds < 1e9:
        raise WrongValueError("--every wants a number of seconds, at least 0.1", value)
    return seconds


def _format(value: str) -> Format:
    for known in FORMATS:
        if value == known:
            return known
    raise WrongValueError(f"--format wants one of {', '.join(FORMATS)}", value)


def _signal(value: str) -> int:
    name = value.upper()
    try:
        number = int(value) if value.isdigit() else signal.Signals["SIG" + name.removeprefix("SIG")].value
    except KeyError:
        number = 0
    if number not in signal.valid_signals() or number in (signal.SIGKILL, signal.SIGSTOP):
        raise WrongValueError("--dump-on wants a signal that can be caught, such as USR1", value)
    return number
