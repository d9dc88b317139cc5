"""The mark on a client object: its sheet, stated when built, closed or garbage-collected.

A mark sits on the client as a plain attribute. Copies and pickles of the client get ``None`` in its
place: they are other clients.
"""

from __future__ import annotations

import itertools
import sys
from types import FrameType
from typing import Any

from poolscope.facts import BEGUN, ENDED, Client, now
from poolscope.hooks import callsite
from poolscope.hooks.guarding import guard
from poolscope.identity import Identity
from poolscope.libraries.marks import mark_on
from poolscope.queue import FACTS
from poolscope.story import runtime
from poolscope.story.suppression import suppressed

_eras = itertools.count(1)
_current_eras: dict[str, int] = {}


def new_era(library: str) -> int:
    """Begun when hooks go into a library: what is known from before has been out of sight since."""
    era = _current_eras[library] = next(_eras)
    return era


def in_sight(era: int) -> bool:
    """Whether things of ``era`` were watched without a gap; those traced one by one, of era 0, always are."""
    return era == 0 or era in _current_eras.values()


class ClientFacts:
    """The sheet of a client, shared by everything that belongs to it, and kept by none of it alive."""

    __slots__ = ("era", "identity", "sheet", "stated")

    def __init__(self, sheet: Client, era: int, stated: bool = True) -> None:
        self.sheet = sheet
        self.identity = Identity()
        self.era = era
        self.stated = stated
        """Whether its birth was put on the queue; a stand-in's is when it is first needed."""

    def __repr__(self) -> str:
        return f"<ClientFacts {self.sheet!r}>"

    def current(self, era: int) -> Client:
        """The sheet; a new one with an unknown past after a fork or when it was built unobserved."""
        if self.era not in (0, era):
            self.era = era
            self._begin_anew()
        elif self.sheet.epoch != FACTS.epoch:
            self._begin_anew()
        if not self.stated:
            self.stated = True
            FACTS.put(BEGUN, self.sheet)
        return self.sheet

    def traced(self, in_sight: bool) -> None:
        """It is traced by itself from now on, so hooks that go in or out change nothing any more.

        ``in_sight``: they are in, and have been since its sheet was begun.
        """
        if self.era != 0:
            self.era = 0
            if not in_sight:
                self._begin_anew()

    def _begin_anew(self) -> None:
        before = self.sheet
        sheet = self.sheet = Client(before.kind, FACTS.epoch)
        sheet.call_site, sheet.sdk_call_site = before.call_site, before.sdk_call_site
        sheet.settings = before.settings
        self.stated = False


class ClientMark:
    """Lives exactly as long as its client and says so when that is collected without a close."""

    __slots__ = ("facts", "owner")

    def __init__(self, client: Any, facts: ClientFacts) -> None:
        self.facts = facts
        self.owner = id(client)

    def __repr__(self) -> str:
        return f"<ClientMark {self.facts.sheet!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()

    def closed(self) -> None:
        """The program closed it."""
        _client_ended(self.facts, "close")

    def __del__(self) -> None:
        if _client_ended is not None:  # as all globals may be while the interpreter shuts down
            _client_ended(self.facts, "gc")


@guard("client.ended")
def _client_ended(facts: ClientFacts, how: str) -> None:
    sheet = facts.sheet
    if facts.stated and sheet.closed_at is None and sheet.epoch == FACTS.epoch and in_sight(facts.era):
        sheet.closed_at = now()
        sheet.close_kind = how
        FACTS.put(ENDED, sheet)


def mark_of(client: Any) -> ClientMark | None:
    """The mark on ``client``, unless a shallow copy brought along another's."""
    mark: ClientMark | None = mark_on(client)
    return mark if mark is not None and mark.owner == id(client) else None


def built(client: Any, kind: str, era: int, started_at: float, site: callsite.Site) -> ClientMark:
    """A mark for a client whose construction began at ``started_at`` and has just ended.

    One that is built where everybody is asked to be silent, as exporters may build theirs, is stated only if it
    is used elsewhere.
    """
    sheet = Client(kind, FACTS.epoch, started_at)
    sheet.construction_time = now() - started_at
    sheet.call_site, sheet.sdk_call_site = site.user, site.sdk
    sheet.loop = runtime.current_loop()
    stated = not suppressed()
    if stated:
        FACTS.put(BEGUN, sheet)
    return ClientMark(client, ClientFacts(sheet, era, stated))


def built_within(mark: ClientMark | None, started_at: float) -> bool:
    """Whether ``mark`` was made by the construction that began then: a tool has put its wrapper between two of ours."""
    born = None if mark is None else mark.facts.sheet.created_at
    return born is not None and born >= started_at


def adopted(client: Any, kind: str, era: int) -> ClientMark:
    """A mark for a client that was there before us: its past is unknown."""
    sheet = Client(kind, FACTS.epoch)
    FACTS.put(BEGUN, sheet)
    return ClientMark(client, ClientFacts(sheet, era))


def traced(client: Any, kind: str, site: callsite.Site | None = None) -> ClientMark:
    """A mark for a client that is traced by itself, stated when it is first used.

    ``site`` is where it is just being built; without one it was there before us and its past is unknown.
    """
    sheet = Client(kind, FACTS.epoch)
    if site is not None:
        sheet.created_at = now()
        sheet.call_site, sheet.sdk_call_site = site.user, site.sdk
        sheet.loop = runtime.current_loop()
    return ClientMark(client, ClientFacts(sheet, 0, stated=False))


def construction_site(client: Any) -> callsite.Site:
    """Where ``client`` is being built: the ``__init__`` of its own subclasses is not the user's line."""
    frame: FrameType | None = sys._getframe(1)
    depth = 1
    while frame is not None and (
        frame.f_code.co_filename.startswith(callsite.OWN) or _initialises(frame, client)
    ):
        frame = frame.f_back
        depth += 1
    return callsite.find(depth)


def _initialises(frame: FrameType, client: Any) -> bool:
    code = frame.f_code
    return code.co_name == "__init__" and frame.f_locals.get(code.co_varnames[0]) is client
