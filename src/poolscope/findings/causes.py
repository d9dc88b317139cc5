"""One cause, one finding: an explained finding becomes a sentence of the finding that explains it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from poolscope.records import Finding

EXPLAINS: Final[dict[str, tuple[str, ...]]] = {
    "PS101": ("PS102", "PS114", "PS115", "PS122", "PS124", "PS126"),
    "PS102": ("PS115", "PS126"),
    "PS115": ("PS126",),
    "PS122": ("PS114", "PS115", "PS124"),
    "PS104": ("PS124",),
    "PS106": ("PS107", "PS113", "PS124"),
    "PS112": ("PS107", "PS113"),
    "PS117": ("PS124",),
    "PS123": ("PS121",),
}
"""Code → the codes of findings at the same place that its fix also fixes."""

SENTENCES: Final = 3
"""How many of the explained findings are quoted."""

HIDES: Final[dict[str, tuple[str, ...]]] = {"PS101": ("PS116",)}
"""Code → the codes of findings on the same origin that its fix hides without fixing them."""


def one_each(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without an explanation, each with the sentences of the findings that it explains."""
    found = list(findings)
    return [
        replace(finding, notes=[*finding.notes, *_sentences(finding, found)])
        for finding in found
        if not any(_explains(other, finding) or _hides(other, finding) for other in found)
    ]


def _sentences(finding: Finding, found: list[Finding]) -> list[str]:
    fixed = [
        f"The same change also fixes this: {other.sentence}" for other in found if _explains(finding, other)
    ]
    hidden = [
        f"The change hides this, but does not fix it: {other.sentence}"
        for other in found
        if _hides(finding, other)
    ]
    return _a_few(fixed) + _a_few(hidden)


def _a_few(sentences: list[str]) -> list[str]:
    more = len(sentences) - SENTENCES
    return sentences if more <= 0 else [*sentences[:SENTENCES], f"The same is true of {more:,} more."]


def _hides(cause: Finding, other: Finding) -> bool:
    return other.code in HIDES.get(cause.code, ()) and (cause.pid, cause.origin) == (other.pid, other.origin)


def _explains(cause: Finding, other: Finding) -> bool:
    return (
        other.code in EXPLAINS.get(cause.code, ())
        and cause.pid == other.pid
        and (cause.call_site, cause.sdk_call_site) == (other.call_site, other.sdk_call_site)
        and (cause.origin is None or other.origin in (None, cause.origin))
    )
