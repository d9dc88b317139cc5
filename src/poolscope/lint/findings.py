"""Hints as findings, so that ignores, baselines and formats work as for a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from poolscope.findings.advice import fix
from poolscope.findings.client_per_request import ClientPerRequest
from poolscope.findings.fingerprint import path_from
from poolscope.lint.files import UnreadableError, files, tree
from poolscope.lint.habits import Hint, hints
from poolscope.lint.libraries import CALLS
from poolscope.lint.once import is_test
from poolscope.records import CallSite, Finding

PROOF: Final = f"A hint: a run that shows {ClientPerRequest.code} proves it."


class Linted(NamedTuple):
    """What was found in some files."""

    findings: list[Finding]
    files: int
    unread: list[str]
    """Files and folders that could not be read, a sentence each."""


def lint(paths: Sequence[str], root: str) -> Linted:
    """Check files and folders of the project at ``root``; UsageError for a path that does not exist."""
    findings: list[Finding] = []
    unread: list[str] = []
    there = files(paths, unread)
    for path in there:
        try:
            findings += _of_file(path, root)
        except UnreadableError as error:
            unread.append(str(error))
    return Linted(findings, len(there), unread)


def _of_file(path: str, root: str) -> list[Finding]:
    module = tree(path)
    if module is None:
        return []
    try:
        found = hints(module, is_test=is_test(path_from(root, path)))
    except RecursionError:
        raise UnreadableError(f"{path}: is nested too deeply, and was left out") from None
    return [finding(hint, path) for hint in found]


def finding(hint: Hint, path: str) -> Finding:
    """The PS101 finding of that line, without what only a run knows."""
    return Finding(
        pid=0,
        code=ClientPerRequest.code,
        title=ClientPerRequest.title,
        severity="info",
        kind=hint.kind,
        origin=None,
        call_site=CallSite(path, hint.line, hint.function),
        sdk_call_site=None,
        count=0,
        cost=None,
        saving=None,
        fix=fix(hint.kind, None, 0),
        sentence=f"{_sentence(hint)} {PROOF}",
    )


def _sentence(hint: Hint) -> str:
    if hint.habit == "function":
        return f"Each call of {hint.function}() builds its own {hint.kind} for a single request."
    if hint.kind in CALLS:
        return f"Each round of this loop calls {hint.kind}(), which builds a client and connects for one request."
    return f"Each round of this loop builds its own {hint.kind} for a single request."
