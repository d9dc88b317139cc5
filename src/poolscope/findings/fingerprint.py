"""Identifies a finding across runs: by its code, its place in the source and what is built there.

No line numbers: lines move with every edit above them.
"""

from __future__ import annotations

import hashlib
import os.path
from typing import Final, NamedTuple

from poolscope.records import CallSite, Finding

_INSTALLED: Final = ("site-packages/", "dist-packages/")


class Fingerprint(NamedTuple):
    """Equal for findings of the same habit in different runs, even if the line has moved."""

    code: str
    path: str
    """From the project's root; empty where no line of code is known."""
    function: str
    """The qualified name."""
    kind: str

    @classmethod
    def of(cls, finding: Finding, root: str) -> Fingerprint:
        """The fingerprint of a finding, for a project below ``root``."""
        site = site_of(finding)
        if site is None:
            return cls(finding.code, "", "", finding.kind or "")
        return cls(finding.code, path_from(root, site.file), site.function, finding.kind or "")

    def digest(self) -> str:
        """The same in a few characters."""
        return hashlib.sha256("\0".join(self).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def site_of(finding: Finding) -> CallSite | None:
    """The line of a finding: the user's own, else that of a package."""
    return finding.call_site or finding.sdk_call_site


def path_from(root: str, file: str) -> str:
    """``file`` as seen from ``root``, with slashes; for an installed package, the part after site-packages."""
    name = file.replace("\\", "/")
    for marker in _INSTALLED:
        _, found, rest = name.rpartition(marker)
        if found:
            return rest
    below = os.path.join(root, "").replace("\\", "/")
    return name.removeprefix(below)
