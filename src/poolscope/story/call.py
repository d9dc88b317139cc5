"""The user's call that we are in: its client, and its previous exchange.

A client's hook opens a `Call`; the hooks below it read it to name an exchange's client and its place in a
chain of redirects, retries and auth steps. A ContextVar, because it must follow threads, tasks and greenlets.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from poolscope.facts import Exchange, RawCallSite, Relation

if TYPE_CHECKING:
    from poolscope.story.client import ClientFacts


REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
CHALLENGES: Final = frozenset((401, 407))


class Call:
    """One call of the user's on a client, however many exchanges it takes."""

    __slots__ = ("announced", "call_site", "client", "newest", "owner", "young")

    def __init__(
        self,
        owner: int,
        client: int | None,
        call_site: RawCallSite | None = None,
        young: ClientFacts | None = None,
        *,
        announced: bool = False,
    ) -> None:
        self.announced = announced
        """The program has called a method of an asynchronous client, and that has not sent anything yet."""
        self.owner = owner
        """``id()`` of the client object: a nested send of the same client goes on with the same call."""
        self.client = client
        self.call_site = call_site
        self.newest: Exchange | None = None
        self.young = young
        """The client, while its requests are still examined."""

    def __repr__(self) -> str:
        return f"<Call client={self.client} newest={self.newest and self.newest.id}>"

    def follow(self, exchange: Exchange) -> None:
        """Make ``exchange`` the newest of this call and relate it to the one before."""
        before, self.newest = self.newest, exchange
        exchange.client = self.client
        exchange.call_site = self.call_site
        if before is not None:
            exchange.previous = before.id
            exchange.resends = before.resends + 1
            exchange.relation = relation_after(before)


def relation_after(before: Exchange) -> Relation | None:
    """Why another exchange followed, if the previous answer shows it."""
    if before.status is None:
        return "retry" if before.error is not None else None
    if before.status in REDIRECTS:
        return "redirect"
    if before.status in CHALLENGES:
        return "auth"
    return "retry" if before.status >= 400 else None


CURRENT_CALL: Final[ContextVar[Call | None]] = ContextVar("poolscope_call", default=None)
"""The current call."""
