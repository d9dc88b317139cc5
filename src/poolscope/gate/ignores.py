"""Findings to ignore, written the same way everywhere: ``PS101``, ``PS101:scripts/*.py``, ``PS101@*.internal``."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from poolscope.findings.fingerprint import path_from, site_of
from poolscope.gate.codes import code
from poolscope.ledger.urls import matches
from poolscope.recording.errors import UsageError
from poolscope.records import CallSite, Finding


@dataclass(slots=True, frozen=True)
class Ignore:
    """One code, perhaps only at some lines or some servers."""

    code: str
    where: str | None
    """A pattern of the path from the root, or of ``path::qualified.name``."""
    server: str | None
    """A pattern of the origin, of host and port, or of the host."""
    place: str
    """The place where it is written, for messages."""

    @classmethod
    def parse(cls, text: str, place: str) -> Ignore:
        """``CODE[:PATH][@SERVER]``; UsageError names ``place``."""
        head, at, server = text.partition("@")
        name, colon, where = head.partition(":")
        if (at and not server.strip()) or (colon and not where.strip()):
            raise UsageError(f"{place}: {name!r} has nothing after its {'@' if at else ':'}")
        return cls(code(name, place), where.strip() or None, server.strip() or None, f"{place} {text!r}")

    def covers(self, finding: Finding, root: str) -> bool:
        """Whether it covers the finding."""
        return (
            finding.code == self.code
            and self.reaches(site_of(finding), root)
            and (self.server is None or (finding.origin is not None and matches(finding.origin, self.server)))
        )

    def reaches(self, site: CallSite | None, root: str) -> bool:
        """Whether it covers the line."""
        if self.where is None:
            return True
        if site is None:
            return False
        path = path_from(root, site.file)
        return any(fnmatchcase(name, self.where) for name in (path, f"{path}::{site.function}"))
