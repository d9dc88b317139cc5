"""What an overview keeps of clients and connections while they are open."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolscope.reports.lanes import Lane
from poolscope.reports.tally import Limits, Row, Site


@dataclass(slots=True, eq=False)
class KnownClient:
    """A client: where it was built, and what is counted once it is used."""

    site: Site
    construction: float
    limits: Limits | None = None
    rows: dict[str, Row] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class OpenConnection:
    """A connection that has not been closed, and the row it belongs to."""

    lane: Lane
    row: Row
