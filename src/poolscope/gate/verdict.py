"""The gate: which findings of a run are shown, ignored or accepted, and which fail it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from poolscope.findings.fingerprint import Fingerprint, path_from, site_of
from poolscope.gate import baseline
from poolscope.gate.codes import FailOn
from poolscope.gate.comments import Comments
from poolscope.gate.config import Config, config_for
from poolscope.gate.ignores import Ignore
from poolscope.recording import folder
from poolscope.recording.errors import UsageError
from poolscope.records import CallSite, Finding
from poolscope.reports.merge import merged
from poolscope.reports.words import count


@dataclass(slots=True, frozen=True)
class GateOptions:
    """The gate's options on a command line, as they were written."""

    fail_on: str | None = None
    ignore: Sequence[str] = ()
    baseline: str | None = None
    write_baseline: str | None = None
    prefix: str = "--"
    """The beginning of its options, for messages."""


@dataclass(slots=True)
class Verdict:
    """The result for the findings of a run."""

    failing: list[Finding] = field(default_factory=list)
    ignored: int = 0
    accepted: int = 0
    unused: list[str] = field(default_factory=list)
    """Ignores at reached lines that are no longer needed."""
    errors: list[str] = field(default_factory=list)


class Gate:
    """Decides which findings are shown, and in the end whether the run fails."""

    def __init__(self, settings: Config, options: GateOptions) -> None:
        prefix = options.prefix
        _is_named(options.baseline, f"{prefix}baseline")
        _is_named(options.write_baseline, f"{prefix}write-baseline")
        self.root = settings.root
        self.fail_on = (
            FailOn() if options.fail_on is None else FailOn.parse(options.fail_on, f"{prefix}fail-on")
        )
        given = [Ignore.parse(text, f"{prefix}ignore") for text in options.ignore]
        self._ignores = (*settings.ignores, *given)
        self._comments = Comments()
        self._new_baseline = options.write_baseline
        # A new baseline has all findings; the old one would hide most of them.
        old = None if options.write_baseline else (options.baseline or settings.baseline)
        self._baseline = frozenset() if old is None else baseline.read(old)

    def __repr__(self) -> str:
        return f"<Gate {self.fail_on}: {len(self._ignores)} ignores, {len(self._baseline)} accepted>"

    def shows(self, finding: Finding) -> bool:
        """Whether neither an ignore nor the baseline excludes this finding."""
        return not self._is_ignored(finding) and not self._is_accepted(finding)

    def _is_ignored(self, finding: Finding) -> bool:
        return any(ignore.covers(finding, self.root) for ignore in self._ignores) or any(
            finding.code in comment.codes for comment in self._comments.at(site_of(finding))
        )

    def _is_accepted(self, finding: Finding) -> bool:
        return Fingerprint.of(finding, self.root) in self._baseline

    def judge(
        self, findings: Sequence[Finding], reached: Iterable[CallSite], *, whole: bool = True
    ) -> Verdict:
        """The verdict on all findings of a run, given the lines it reached; a partial run (not ``whole``) writes no
        baseline.
        """
        verdict = Verdict()
        for finding in findings:
            if self._is_ignored(finding):
                verdict.ignored += 1
            elif self._is_accepted(finding):
                verdict.accepted += 1
            elif self.fail_on.fails(finding) and self._new_baseline is None:
                verdict.failing.append(finding)
        reached = list(reached)
        verdict.unused = self._unused(findings, reached)
        verdict.errors = list(self._comments.errors.values())
        if whole:
            self._write_baseline(findings, verdict)
        elif self._new_baseline is not None:
            verdict.errors.append(
                f"no baseline is written to {self._new_baseline!r}: the tests did not all run"
            )
        return verdict

    def _unused(self, findings: Sequence[Finding], reached: list[CallSite]) -> list[str]:
        """Ignores that are not needed; undecided for lines that were not reached or share a finding with other lines
        of the file.
        """
        unused = []
        there = {(finding.code, site.file) for finding in findings if (site := site_of(finding))}
        for comment in self._comments.reached(reached):
            for code in comment.codes:
                if (code, comment.file) not in there:
                    place = f"{path_from(self.root, comment.file)}:{comment.line}"
                    unused.append(f"{place}: # poolscope: ignore[{code}] is no longer needed")
        for ignore in self._ignores:
            came_by = any(ignore.reaches(site, self.root) for site in reached)
            if (
                ignore.where
                and came_by
                and not any(ignore.covers(finding, self.root) for finding in findings)
            ):
                unused.append(f"{ignore.place} is no longer needed")
        return unused

    def _write_baseline(self, findings: Sequence[Finding], verdict: Verdict) -> None:
        if self._new_baseline is None:
            return
        kept = [Fingerprint.of(finding, self.root) for finding in findings if not self._is_ignored(finding)]
        try:
            baseline.write(self._new_baseline, kept)
        except UsageError as error:
            verdict.errors.append(str(error))


def _is_named(path: str | None, place: str) -> None:
    if path is not None and not path.strip():
        raise UsageError(f"{place}: no file is named")


def gate_for(options: GateOptions, directory: str | None = None) -> Gate:
    """The gate of the project around ``directory``, or the current one; UsageError names what is wrong."""
    return Gate(config_for(directory or folder.current()), options)


def judged(gate: Gate, findings: Sequence[Finding], reached: Iterable[CallSite]) -> tuple[Verdict, list[str]]:
    """The verdict, and the command's lines about it."""
    verdict = gate.judge([one.finding for one in merged(list(findings))], reached)
    return verdict, sentences(verdict, gate.root)


def sentences(verdict: Verdict, root: str) -> list[str]:
    """The command's lines about its verdict."""
    failing: dict[str, set[str]] = {}
    for finding in verdict.failing:
        failing.setdefault(named(finding, root), set()).update(filter(None, (finding.origin,)))
    lines = [
        f"failed: {name}{f' ({len(servers):,} servers)' if len(servers) > 1 else ''}"
        for name, servers in failing.items()
    ]
    if verdict.ignored:
        lines.append(f"{count(verdict.ignored, 'finding')} ignored")
    if verdict.accepted:
        lines.append(f"{count(verdict.accepted, 'finding')} accepted by the baseline")
    return [*lines, *verdict.unused, *verdict.errors]


def named(finding: Finding, root: str) -> str:
    """``PS101 client per request at shop.py:12 in price``."""
    site = site_of(finding)
    where = (
        f"to {finding.origin}"
        if site is None
        else f"at {site.at(path_from(root, site.file))} in {site.function}"
    )
    return f"{finding.code} {finding.title} {where}"
