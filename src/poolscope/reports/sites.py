"""Lines of code in short, and as links for terminals."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from poolscope.records import CallSite
from poolscope.reports.printable import printable
from poolscope.reports.words import Paths

SHORTEST: Final = 12
"""Characters that a path keeps, however narrow the page."""
LINK: Final = "\x1b]8;;{}\x1b\\{}\x1b]8;;\x1b\\"
"""OSC 8. Not rich's own links: they take an id from `random`, which the program may have seeded."""


class Sites:
    """Names call sites briefly, and remembers them to turn them into links."""

    def __init__(self, sites: Iterable[CallSite], width: int) -> None:
        self._paths = Paths(site.file for site in sites)
        self._width = width
        self._targets: dict[str, str] = {}
        self.base = self._paths.base
        """The directory in which the short names begin."""

    def __repr__(self) -> str:
        return f"<Sites below {self.base!r}, {len(self._targets)} named>"

    def named(self, site: CallSite, taken: int) -> str:
        """``load.py:12 in fetch``, beside so many characters that are ``taken``."""
        tail = f":{site.line} in {site.function}"
        short = self._paths.short(site.file, max(SHORTEST, self._width - len(tail) - taken))
        self._remember(site.at(short), site)
        return f"{site.at(short)} in {site.function}"

    def shortened(self, text: str, site: CallSite) -> str:
        """A sentence with the file of ``site`` named as everywhere else."""
        short = self._paths.short(site.file)
        self._remember(site.at(short), site)
        return text.replace(site.file, short)

    def _remember(self, shown: str, site: CallSite) -> None:
        if os.path.isabs(site.file):
            self._targets[printable(shown)] = f"file://{quote(site.file, errors='surrogatepass')}#{site.line}"

    def linked(self, text: str) -> str:
        """The whole report, with a link for every line of code in it."""
        if not self._targets:
            return text
        longest_first = sorted(self._targets, key=len, reverse=True)
        names = "|".join(map(re.escape, longest_first))
        shown = re.compile(rf"(?<![\w./-])(?:{names})(?!\d)")
        return shown.sub(lambda found: LINK.format(self._targets[found[0]], found[0]), text)
