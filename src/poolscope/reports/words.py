"""How a report writes numbers, times, shares, plurals and paths."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from typing import Final

NOTHING: Final = "–"
_INSTALLED: Final = re.compile(r".*/(?:site-packages|dist-packages|lib/python\d+\.\d+(?!/site-|/dist-))/")


def seconds(value: float | None, space: str = " ") -> str:
    """A duration for people: ``40 µs``, ``0.4 ms``, ``12 ms``, ``1.92 s``, ``153 s``; a dash for None."""
    if value is None:
        return NOTHING
    for limit, factor, digits, unit in (
        (0.0000995, 1e6, 0, "µs"),
        (0.00995, 1e3, 1, "ms"),
        (0.9995, 1e3, 0, "ms"),
        (9.995, 1.0, 2, "s"),
        (99.95, 1.0, 1, "s"),
    ):
        if value < limit:
            return f"{value * factor:.{digits}f}{space}{unit}"
    return f"{value:,.0f}{space}s"


def share(part: int, whole: int) -> str:
    """``99.9 %``; exactly ``0 %`` and ``100 %`` only for none and all."""
    if whole == 0:
        return NOTHING
    percent = 100 * part / whole
    if part in (0, whole):
        return f"{percent:.0f} %"
    if percent > 99 or percent < 1:
        return f"{min(99.9, max(0.1, percent)):.1f} %"
    return f"{percent:.0f} %"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 request``, ``1,000 requests``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def plain(name: str) -> str:
    """A close reason, phase or trigger without its underscores."""
    return name.replace("_", " ")


def most(counts: Mapping[str, int], shown: int = 6) -> list[tuple[str, int]]:
    """The largest first, equal ones by name; the rest as one sum."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(number for _, number in ordered[shown:])
    return ordered[:shown] + ([("other", rest)] if rest else [])


class Paths:
    """Shortens file names, in the same way on every machine.

    Installed files lose the part before the package; the user's own files lose the directory that all of
    them share.
    """

    def __init__(self, files: Iterable[str]) -> None:
        own = {os.path.dirname(name) for name in files if os.path.isabs(name) and not _installed(name)}
        shared = os.path.commonpath(sorted(own)) if own else ""
        self.base = "" if shared == os.path.dirname(shared) else shared
        """The directory in which the short names begin; empty if they share only the root."""

    def short(self, name: str, width: int | None = None) -> str:
        """``name`` without its base, cut from the left to ``width`` characters if need be."""
        short = _installed(name)
        if not short:
            short = name
            if self.base and name.startswith(os.path.join(self.base, "")):
                short = name[len(self.base) + 1 :]
        if width is not None and len(short) > width:
            return "…" + short[len(short) - max(1, width - 1) :]
        return short


def _installed(name: str) -> str:
    """The part after site-packages or the standard library's directory; empty for other files."""
    found = _INSTALLED.match(name.replace("\\", "/"))
    return name[found.end() :] if found else ""


_SPENT = {
    "sleep": "sleep",
    "waiting": "waiting in vain",
    "pool_wait": "waiting for connections",
    "ca_certificates": "loading CA certificates",
    "addresses": "trying addresses that failed",
    "construction": "building",
    "setup": "setup and closing",
}


def spent(parts: dict[str, float]) -> str:
    """The parts of a cost, in words."""
    if len(parts) == 1:
        return _SPENT.get(next(iter(parts)), "building, setup and closing")
    return "building, setup and closing"
