"""What a client goes through: built, used, closed or collected.

A mark sits on the client as a plain attribute and lives exactly as long. Copies and pickles of the client get
``None`` in its place: they are other clients.
"""

from __future__ import annotations

from typing import Any

from poolscope.facts import BEGUN, ENDED, Client, CloseKind, RawCallSite, now
from poolscope.identity import Identity
from poolscope.queue import FACTS, is_the_hosts
from poolscope.story.hook import Hook
from poolscope.story.live import LIVE
from poolscope.story.sight import SIGHT, Era

_ENDED = Hook("client.ended")


class ClientFacts:
    """The sheet of a client, shared by its parts; it keeps none of them alive."""

    __slots__ = ("era", "identity", "pool_name", "sheet", "stated")

    def __init__(self, sheet: Client, era: Era, stated: bool = True) -> None:
        self.sheet = sheet
        self.identity = Identity()
        self.pool_name: str | None = None
        """The program's name for its pools."""
        self.era = era
        self.stated = False
        """Whether its construction was reported; a client built under suppression is reported when used."""
        if stated:
            self._state()

    def __repr__(self) -> str:
        return f"<ClientFacts {self.sheet!r}>"

    def _state(self) -> None:
        self.stated = True
        LIVE.clients[self.sheet.id] = self.sheet
        FACTS.put(BEGUN, self.sheet)

    def current(self) -> Client:
        """The sheet; a new one with an unknown past after a fork or a time unobserved."""
        if self.era is not SIGHT.era and self.era is not SIGHT.own:
            self.era = SIGHT.era
            self._begin_anew()
        elif self.sheet.epoch != FACTS.epoch:
            self._begin_anew()
        if not self.stated:
            self._state()
        return self.sheet

    def observed_by_itself(self) -> None:
        """It was chosen to be observed, which `instrument()` and `uninstrument()` do not change."""
        if self.era != SIGHT.own:
            unbroken = self.era.goes_on
            self.era = SIGHT.own
            if not unbroken:
                self._begin_anew()

    def _begin_anew(self) -> None:
        before = self.sheet
        sheet = self.sheet = Client(before.kind, FACTS.epoch)
        forked = self.stated and before.epoch != FACTS.epoch
        sheet.inherited_from = before.id if forked else before.inherited_from
        sheet.call_site, sheet.sdk_call_site = before.call_site, before.sdk_call_site
        sheet.settings, sheet.apart_from_credentials = before.settings, before.apart_from_credentials
        self.stated = False

    def sends(self, headers: Any, target: Any, body: Any) -> None:
        """It sends a request: note what that says about its settings."""
        sheet, identity = self.sheet, self.identity
        sheet.settings = identity.sends(headers, target, body)
        sheet.apart_from_credentials = identity.apart

    def ends(self, how: CloseKind) -> None:
        """It was closed, or collected without a close; runs inside garbage collection, too."""
        sheet = self.sheet
        if self.stated and self.era.goes_on and LIVE.clients.pop(sheet.id, None) is not None:
            sheet.closed_at = now()
            sheet.close_kind = how
            FACTS.put(ENDED, sheet)


class ClientMark:
    """Lives exactly as long as its client, and reports when that is collected without a close."""

    __slots__ = ("facts", "owner")

    def __init__(self, client: Any, facts: ClientFacts) -> None:
        self.facts = facts
        self.owner = id(client)

    def __repr__(self) -> str:
        return f"<ClientMark {self.facts.sheet!r}>"

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def closed(self) -> None:
        """The program closed it."""
        self.facts.ends("close")

    def __del__(self) -> None:
        if ClientFacts is None or is_the_hosts is None:  # globals go while the interpreter shuts down
            return
        try:
            self.facts.ends("gc")
        except Exception as error:
            if not _ENDED.failed(error):
                raise


def built(
    client: Any,
    kind: str,
    started_at: float,
    site: RawCallSite | None,
    sdk_site: RawCallSite | None,
    *,
    loop: int | None,
    stated: bool,
) -> ClientMark:
    """A mark for a client that was built from ``started_at`` until now.

    A client built under suppression (an exporter's) is not ``stated``, unless it is later used outside it.
    """
    sheet = Client(kind, FACTS.epoch, started_at)
    sheet.construction_time = now() - started_at
    sheet.call_site, sheet.sdk_call_site = site, sdk_site
    sheet.loop = loop
    return ClientMark(client, ClientFacts(sheet, SIGHT.era, stated))


def found(client: Any, kind: str, *, by_itself: bool = False) -> ClientMark:
    """A mark for a client that existed before; ``by_itself``: report it when it is first used."""
    sheet = Client(kind, FACTS.epoch)
    era = SIGHT.own if by_itself else SIGHT.era
    return ClientMark(client, ClientFacts(sheet, era, stated=not by_itself))


def built_within(mark: ClientMark | None, started_at: float) -> bool:
    """Whether ``mark`` was made inside the construction that began then: a tool wraps one of our wrappers."""
    born = None if mark is None else mark.facts.sheet.created_at
    return born is not None and born >= started_at
