"""What concerns the whole run: its processes, their findings put together, and what could not be seen."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from poolscope.records import CallSite, Finding
from poolscope.reports.picture import Picture
from poolscope.reports.printable import page
from poolscope.reports.words import count, seconds


class Merged(NamedTuple):
    """A finding, put together over the processes that have the habit."""

    finding: Finding
    """Count and cost are of all; the saving, of processes that run side by side, is of one."""
    processes: int


class Process(NamedTuple):
    """The run in a few words, and how long it took."""

    words: list[str]
    wall_time: float | None


def process(picture: Picture) -> Process:
    """What the first process says about the run."""
    words: list[str] = []
    first = next(iter(picture.headers.values()), None)
    if first is not None:
        words.append(first.program or "a program without a name")
        if first.origins:
            words.append(f"only {', '.join(first.origins)}")
        words.append(f"Python {first.python}")
        used = {row.site.kind.partition(".")[0] for row in picture.rows()}
        words += [f"{name} {version}" for name, version in sorted(first.libraries.items()) if name in used]
    running = len(_running(picture))
    if len(picture.headers) > 1:
        words.append(count(len(picture.headers), "process", "processes"))
        if running:
            words.append(f"{running:,} still running")
    summary = picture.summaries.get(first.pid) if first is not None else None
    if summary is None:
        if first is not None and first.pid not in picture.running:
            words.append("no end recorded")
        elif len(picture.headers) == 1:
            words.append("still running")
        return Process(words, None)
    words.append(seconds(summary.wall_time))
    if summary.exit_code:
        words.append(_ending(summary.exit_code))
    return Process(words, summary.wall_time)


def _running(picture: Picture) -> list[int]:
    return [pid for pid in picture.headers if pid in picture.running and pid not in picture.summaries]


def _ending(exit_code: int) -> str:
    """``exit code 3``, ``ended by SIGINT``."""
    if exit_code > 0:
        return f"exit code {exit_code}"
    try:
        return f"ended by {signal.Signals(-exit_code).name}"
    except ValueError:  # a real-time signal has no name
        return f"ended by signal {-exit_code}"


def nothing_seen(picture: Picture) -> str:
    """What there is to say where no connection and no request is in the picture."""
    if any(summary.not_observed for summary in picture.summaries.values()):
        return "no request through httpx, requests, urllib3 or aiohttp was seen"
    patterns = next((header.origins for header in picture.headers.values()), [])
    where = f" to an origin that matches {' or '.join(patterns)}" if patterns else ""
    return f"no HTTP connection was opened and no request was sent through httpx, requests, urllib3 or aiohttp{where}"


def only_nothing(picture: Picture) -> str:
    """The whole report of an empty picture, without colour."""
    return page([f"poolscope  {nothing_seen(picture)}"])


def merged(findings: list[Finding]) -> list[Merged]:
    """One finding per code, origin and line, the dearest first."""
    together: dict[tuple[str, str | None, CallSite | None, CallSite | None], list[Finding]] = {}
    for finding in findings:
        key = (finding.code, finding.origin, finding.call_site, finding.sdk_call_site)
        together.setdefault(key, []).append(finding)
    found = [_together(same) for same in together.values()]
    return sorted(found, key=lambda one: -(one.finding.cost or 0.0))


def _together(findings: list[Finding]) -> Merged:
    processes = len({finding.pid for finding in findings})
    if len(findings) == 1:
        return Merged(findings[0], processes)
    costs = [finding.cost for finding in findings if finding.cost is not None]
    savings = [finding.saving for finding in findings if finding.saving is not None]
    # Of the sentences and fixes the longest: it says the most ("1 or 2 requests", and how large a pool).
    worded = max(findings, key=lambda finding: len(finding.sentence))
    times = sum(finding.count for finding in findings)
    sentence = re.sub(rf"(?<![\w.]){worded.count:,}(?![\w.])", f"{times:,}", worded.sentence, count=1)
    finding = replace(
        worded,
        count=times,
        cost=sum(costs) if costs else None,
        saving=max(savings) if savings else None,
        severity="warning" if any(finding.severity == "warning" for finding in findings) else "info",
        at_least=any(finding.at_least for finding in findings),
        parts=_added(finding.parts for finding in findings),
        notes=list(dict.fromkeys(note for finding in findings for note in finding.notes)),
        fix=max((finding.fix for finding in findings), key=len),
        sentence=f"{sentence.removesuffix('.')}, in {processes:,} processes.",
    )
    return Merged(finding, processes)


def _added(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for each in parts:
        for name, took in each.items():
            total[name] = total.get(name, 0.0) + took
    return total


def notes(picture: Picture) -> list[str]:
    """What is missing from the picture, one sentence each."""
    found = []
    summaries = picture.summaries.values()
    dropped = sum(summary.facts_dropped for summary in summaries)
    if dropped:
        found.append(
            f"{count(dropped, 'fact')} dropped because the queue was full; the numbers are too small."
        )
    disabled = sorted({hook for summary in summaries for hook in summary.hooks_disabled})
    if disabled:
        found.append(f"Hooks that failed and switched themselves off: {', '.join(disabled)}.")
    failed = sorted(picture.failed_rules)
    if failed:
        found.append(f"Findings that failed and were switched off: {', '.join(failed)}.")
    children = sum(summary.children_not_followed for summary in summaries)
    if children:
        found.append(
            f"{count(children, 'child process', 'child processes')} not followed (--no-follow, or beyond reach)."
        )
    others = sorted({name for summary in summaries for name in summary.not_observed})
    if others:
        found.append(f"What these did, which poolscope does not observe: {', '.join(others)}.")
    lost = [pid for pid in picture.headers if pid not in picture.summaries and pid not in picture.running]
    if picture.summaries and lost:
        named = count(len(lost), "process", "processes")
        found.append(f"The end of {named}: killed, out of room to write, or running where no lock says so.")
    if picture.more_processes:
        found.append(
            f"What {count(picture.more_processes, 'more process', 'more processes')} said of themselves."
        )
    if picture.capped:
        found.append("More than 1,000 origins or call sites; the later ones are summed up as other.")
    return found
