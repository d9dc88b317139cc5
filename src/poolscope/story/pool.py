"""The mark on a pool object: its sheet, stated when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from poolscope.facts import BEGUN, CloseTrigger, Pool
from poolscope.queue import FACTS
from poolscope.story.client import ClientFacts
from poolscope.story.live import LIVE
from poolscope.story.sight import Era

MOST_NAMES: Final = 100
"""A name is a metric's attribute; later ones share ``other``."""
_NAMES: Final[dict[str, None]] = {}


def name_for(name: Any) -> str | None:
    """The pool name that the program gave, if any; TypeError or ValueError if it cannot be a name."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"pool_name is a text, not {type(name).__name__}")
    if not name or not name.isprintable():
        raise ValueError(f"pool_name is {name!r}, not a printable text")
    if name not in _NAMES and len(_NAMES) >= MOST_NAMES:
        return "other"
    _NAMES[name] = None
    return name


def name_of(pool: int | None) -> str | None:
    """The name of the live pool with this id."""
    sheet = None if pool is None else LIVE.pools.get(pool)
    return None if sheet is None else sheet.name


class PoolMark:
    """The client and the sheet of a pool. Connections keep it, so that the reason of a late close is known."""

    __slots__ = ("client", "ending", "era", "name", "shared", "sheet")

    def __init__(self, era: Era, client: ClientFacts | None = None) -> None:
        self.era = era
        self.client = client
        """The client of the pool; None if only the call knows it."""
        self.shared = False
        """Several clients use it, so it belongs to none of them."""
        self.sheet: Pool | None = None
        self.name: str | None = None
        """Its own name, apart from the name of all pools of a client."""
        self.ending: CloseTrigger | None = None
        """The close trigger of the connections it holds, once it was closed or evicted."""

    def __repr__(self) -> str:
        return f"<PoolMark {self.sheet!r} {self.ending or 'open'}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def is_called(self, name: str | None) -> None:
        """The program gave it a ``name``, or none."""
        if name is not None:
            self.name = name
            if self.sheet is not None:
                self.sheet.name = name

    def belongs_to(self, client: ClientFacts) -> None:
        """``client`` has this pool."""
        if self.client is None and not self.shared:
            self.client = client
        elif self.client is not client:
            self.client, self.shared = None, True

    def current(self, client: int | None, describe: Callable[[Pool], object]) -> Pool:
        """Its sheet; a new one, which ``describe`` fills with limits, when first used and in a forked child."""
        sheet = self.sheet
        if sheet is None or sheet.epoch != FACTS.epoch:
            sheet = self.sheet = Pool(FACTS.epoch, client)
            sheet.name = self.name or (None if self.client is None else self.client.pool_name)
            describe(sheet)
            LIVE.pools[sheet.id] = sheet
            FACTS.put(BEGUN, sheet)
        return sheet
