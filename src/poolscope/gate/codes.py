"""Findings by code, as people write them: every code is checked, and errors name the place."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from poolscope.findings import RULES
from poolscope.recording.errors import UsageError
from poolscope.records import Finding

CODES: Final = tuple(rule.code for rule in RULES)
WARNING: Final = "warning"
ANY: Final = "any"


def code(text: str, place: str) -> str:
    """One code, also without its letters; UsageError names ``place`` if there is no such finding."""
    name = text.strip().upper()
    if name.isdigit():
        name = f"PS{name}"
    if name not in CODES:
        known = ", ".join(CODES)
        raise UsageError(f"{place}: no finding has the code {text.strip()!r} (there are {known})")
    return name


def codes(text: str, place: str) -> tuple[str, ...]:
    """Codes between commas or blanks, at least one."""
    words = [word for word in re.split(r"[,\s]+", text) if word]
    if not words:
        raise UsageError(f"{place}: there is no code; write one such as PS101")
    return tuple(code(word, place) for word in words)


@dataclass(slots=True, frozen=True)
class FailOn:
    """Which findings fail a run: some codes, all warnings, or all findings."""

    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, place: str) -> FailOn:
        """From ``PS101,PS103``, ``warning`` or ``any``; UsageError names ``place``."""
        words = [word for word in re.split(r"[,\s]+", text) if word]
        if not words:
            raise UsageError(f"{place}: say which findings: codes as in PS101,PS103, {WARNING} or {ANY}")
        return cls(tuple(w.lower() if w.lower() in (WARNING, ANY) else code(w, place) for w in words))

    def __bool__(self) -> bool:
        return bool(self.names)

    def __str__(self) -> str:
        return ",".join(self.names)

    def fails(self, finding: Finding) -> bool:
        """Whether this finding fails; a code fails whatever its severity."""
        return ANY in self.names or finding.code in self.names or finding.severity in self._severities()

    def _severities(self) -> Collection[str]:
        return {WARNING} & set(self.names)
