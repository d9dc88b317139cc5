"""The rows of the report: one per origin and line of code, and ``other`` where there are too many."""

from __future__ import annotations

from typing import Final, TypeVar

from poolscope.records import CallSite
from poolscope.reports.tally import Row, Site

CAP: Final = 1_000
"""How many origins, call sites and rows are distinguished; later ones are ``other``."""
OTHER: Final = "other"
UNSEEN: Final = Site("client not seen", None, None)
OTHER_SITE: Final = Site("other clients", None, None)
_Value = TypeVar("_Value")


class Places:
    """The distinguished origins and lines of code, and the row of each pair."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Site], Row] = {}
        self._origins: set[str] = set()
        self._sites: set[Site] = set()

    def __repr__(self) -> str:
        return f"<Places: {len(self.rows)} rows>"

    @property
    def capped(self) -> bool:
        """Whether some origins or call sites were summed up as ``other``."""
        return len(self._origins) >= CAP or len(self._sites) >= CAP or len(self.rows) >= CAP

    def site(self, kind: str, call_site: CallSite | None, sdk: CallSite | None) -> Site:
        """Where clients of this kind are built."""
        site = Site(kind, call_site, sdk)
        return site if _is_distinguished(site, self._sites) else OTHER_SITE

    def origin(self, origin: str) -> str:
        """The origin itself, or ``other``."""
        return origin if _is_distinguished(origin, self._origins) else OTHER

    def row(self, origin: str, site: Site) -> Row:
        """The row of an origin and a line."""
        row = self.rows.get((origin, site))
        if row is None:
            if len(self.rows) >= CAP and (origin, site) != (OTHER, OTHER_SITE):
                return self.row(OTHER, OTHER_SITE)
            row = self.rows[origin, site] = Row(origin, site)
        return row


def _is_distinguished(value: _Value, known: set[_Value]) -> bool:
    """Whether it is one of the first `CAP`; it counts as known from now on."""
    if value not in known and len(known) < CAP:
        known.add(value)
    return value in known
