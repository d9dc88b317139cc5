"""What concerns the whole run: its processes, their findings put together, and what could not be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from poolscope.records import CallSite, Finding
from poolscope.reports.picture import Picture
from poolscope.reports.words import count, seconds

ALSO: Final = " (So it was in one process; the figures below are of all.)"


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
    if len(picture.headers) > 1:
        words.append(count(len(picture.headers), "process", "processes"))
    summary = picture.summaries.get(first.pid) if first is not None else None
    if summary is None:
        if first is not None:
            words.append("no end recorded")
        return Process(words, None)
    words.append(seconds(summary.wall_time))
    if summary.exit_code:
        words.append(f"exit code {summary.exit_code}")
    return Process(words, summary.wall_time)


def nothing_seen(picture: Picture) -> str:
    """What there is to say where no connection and no request is in the picture."""
    patterns = next((header.origins for header in picture.headers.values()), [])
    where = f" to an origin that matches {' or '.join(patterns)}" if patterns else ""
    return f"no HTTP connection was opened and no request was made through httpx, requests or urllib3{where}"


def merged(findings: list[Finding]) -> list[Finding]:
    """One finding per code, origin and line, the dearest first.

    Processes run side by side: their costs add up, but of what they would have saved only the largest counts.
    """
    together: dict[tuple[str, str | None, CallSite | None, CallSite | None], Finding] = {}
    for finding in findings:
        key = (finding.code, finding.origin, finding.call_site, finding.sdk_call_site)
        before = together.get(key)
        together[key] = finding if before is None else _plus(before, finding)
    return sorted(together.values(), key=lambda finding: -(finding.cost or 0.0))


def _plus(one: Finding, other: Finding) -> Finding:
    costs = [cost for cost in (one.cost, other.cost) if cost is not None]
    savings = [saving for saving in (one.saving, other.saving) if saving is not None]
    return replace(
        one,
        count=one.count + other.count,
        cost=sum(costs) if costs else None,
        saving=max(savings) if savings else None,
        severity="warning" if "warning" in (one.severity, other.severity) else "info",
        at_least=one.at_least or other.at_least,
        parts={
            part: one.parts.get(part, 0.0) + other.parts.get(part, 0.0)
            for part in {**one.parts, **other.parts}
        },
        notes=list(dict.fromkeys([*one.notes, *other.notes])),
        sentence=f"{one.sentence.removesuffix(ALSO)}{ALSO}",
    )


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
            f"{count(children, 'child process', 'child processes')} not followed; --follow includes them."
        )
    unfinished = [pid for pid in picture.headers if pid not in picture.summaries]
    if picture.summaries and unfinished:
        named = count(len(unfinished), "process", "processes")
        found.append(f"The end of {named}: still running when this was written, or killed.")
    if picture.capped:
        found.append("More than 1,000 origins or call sites; the later ones are summed up as other.")
    return found
