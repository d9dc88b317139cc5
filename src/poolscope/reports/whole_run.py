"""What a report says about the whole run: its processes, how it ended, and what could not be seen."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Final, NamedTuple

from poolscope.records import Header
from poolscope.reports.nothing import nothing
from poolscope.reports.overview import Overview
from poolscope.reports.words import count, seconds

NAMED: Final = 3
"""How many programs of several runs are named."""


class Process(NamedTuple):
    """The run in a few words, and its duration; several runs have none."""

    words: list[str]
    wall_time: float | None


def name(header: Header | None) -> str:
    """What ran."""
    program = header.program if header is not None else None
    return "python -c" if program == "-c" else program or "a program without a name"


def process(overview: Overview) -> Process:
    """The run according to its first process; of several runs, which `view` puts together, what is true of all."""
    headers = list(overview.headers.values())
    runs = [header for header in headers if header.parent is None] or headers[:1]
    first = runs[0] if runs else None
    words: list[str] = []
    if first is not None:
        words.append(_named(map(name, runs)))
        if first.origins and all(run.origins == first.origins for run in runs):
            words.append(f"only {', '.join(first.origins)}")
        words.append(f"Python {_named(run.python for run in runs)}")
        used = {row.site.kind.partition(".")[0] for row in overview.rows()}
        versions = {item for run in runs for item in run.libraries.items() if item[0] in used}
        words += [f"{library} {version}" for library, version in sorted(versions)]
    if len(runs) > 1:
        words.append(count(len(runs), "run"))
    if len(headers) > len(runs):
        words.append(count(len(headers), "process", "processes"))
    running = len(_running(overview))
    if running and len(headers) > 1:
        words.append(f"{running:,} still running")
    if len(runs) > 1:
        return Process(words, None)
    summary = overview.summaries.get(first.pid) if first is not None else None
    if summary is None:
        if first is not None and first.pid not in overview.running:
            words.append("no end recorded")
        elif len(headers) == 1:
            words.append("still running")
        return Process(words, None)
    words.append(seconds(summary.wall_time))
    if summary.exit_code:
        words.append(_ending(summary.exit_code))
    return Process(words, summary.wall_time)


def _named(names: Iterable[str]) -> str:
    different = list(dict.fromkeys(names))
    more = len(different) - NAMED
    return ", ".join(different[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _running(overview: Overview) -> list[int]:
    return [pid for pid in overview.headers if pid in overview.running and pid not in overview.summaries]


def _ending(exit_code: int) -> str:
    """``exit code 3``, ``ended by SIGINT``."""
    if exit_code > 0:
        return f"exit code {exit_code}"
    try:
        return f"ended by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal has no name
        return f"ended by signal {-exit_code}"


def nothing_seen(overview: Overview) -> str:
    """The message if there was no connection and no request."""
    patterns = next((header.origins for header in overview.headers.values()), [])
    return nothing(_not_observed(overview), patterns)


def _not_observed(overview: Overview) -> list[str]:
    return sorted({name for summary in overview.summaries.values() for name in summary.not_observed})


def notes(overview: Overview) -> list[str]:
    """What is missing from the report, one sentence each."""
    found = []
    summaries = overview.summaries.values()
    dropped = sum(summary.facts_dropped for summary in summaries)
    if dropped:
        found.append(
            f"{count(dropped, 'fact')} dropped because the queue was full; the numbers are too small."
        )
    disabled = sorted({hook for summary in summaries for hook in summary.hooks_disabled})
    if disabled:
        found.append(f"Hooks that failed and switched themselves off: {', '.join(disabled)}.")
    failed = sorted(overview.failed_rules)
    if failed:
        found.append(f"Findings that failed and were switched off: {', '.join(failed)}.")
    children = sum(summary.children_not_followed for summary in summaries)
    if children:
        found.append(
            f"{count(children, 'child process', 'child processes')} not followed (--no-follow, or beyond reach)."
        )
    others = _not_observed(overview)
    if others:
        found.append(f"Requests of libraries that poolscope does not observe: {', '.join(others)}.")
    lost = [pid for pid in overview.headers if pid not in overview.summaries and pid not in overview.running]
    if overview.summaries and lost:
        named = count(len(lost), "process", "processes")
        found.append(
            f"The end of {named}: killed, out of disk space, or still running where files cannot be locked."
        )
    if overview.more_processes:
        found.append(
            f"Program and end of {count(overview.more_processes, 'more process', 'more processes')}."
        )
    if overview.capped:
        found.append("More than 1,000 origins or call sites; the later ones are summed up as other.")
    return found
