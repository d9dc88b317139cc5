"""What an overview keeps of clients and connections while they are open."""

from __future__ import annotations

from poolscope.reports.lanes import Lane
from poolscope.reports.tally import Limits, Row, Site


class KnownClient:
    """A client: where it was built, and what is counted once it is used."""

    __slots__ = ("construction", "limits", "rows", "site")

    def __init__(self, site: Site, construction: float) -> None:
        self.site = site
        self.construction = construction
        self.limits: Limits | None = None
        self.rows: dict[str, Row] = {}

    def __repr__(self) -> str:
        return f"<KnownClient {self.site.kind} of {len(self.rows)} origins>"


class OpenConnection:
    """A connection that has not been closed, and the row it belongs to."""

    __slots__ = ("lane", "row")

    def __init__(self, lane: Lane, row: Row) -> None:
        self.lane = lane
        self.row = row

    def __repr__(self) -> str:
        return f"<OpenConnection {self.lane!r}>"
