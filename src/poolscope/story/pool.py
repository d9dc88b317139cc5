"""The mark on a pool object: its sheet, stated when it is first used."""

from __future__ import annotations

from collections.abc import Callable

from poolscope.facts import BEGUN, CloseTrigger, Pool
from poolscope.queue import FACTS
from poolscope.story.client import ClientFacts
from poolscope.story.live import LIVE
from poolscope.story.sight import Era


class PoolMark:
    """Whose pool it is, and its sheet. Connections keep it, so that the reason of a late close is known."""

    __slots__ = ("client", "ending", "era", "shared", "sheet")

    def __init__(self, era: Era, client: ClientFacts | None = None) -> None:
        self.era = era
        self.client = client
        """Whose pool it is; None where only the call says."""
        self.shared = False
        """Several clients use it, so it belongs to none of them."""
        self.sheet: Pool | None = None
        self.ending: CloseTrigger | None = None
        """The close trigger of the connections it holds, once it was closed or evicted."""

    def __repr__(self) -> str:
        return f"<PoolMark {self.sheet!r} {self.ending or 'open'}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

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
            describe(sheet)
            LIVE.pools[sheet.id] = sheet
            FACTS.put(BEGUN, sheet)
        return sheet
