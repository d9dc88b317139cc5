"""The interface of a rule: it reads the record stream, and can report its findings at any time."""

from __future__ import annotations

from typing import ClassVar

from poolscope.findings.known import Known, Place
from poolscope.records import Client, Connection, Exchange, Finding, Pool, Severity


class Rule:
    """One finding's detector. It keeps bounded state, has no clock, and never guesses.

    The same records in the same order give the same findings, so a saved file shows what the live
    process showed. A rule defines those of `client`, `pool`, `connection`, `exchange` and `progress` that it
    needs; the others are never called. In a live process it sees only exchanges that are out of the ordinary
    (`poolscope.ledger.unusual`) and those that it, or another rule, says it `needs`.
    """

    code: ClassVar[str]
    """Stable, as in ``PS101``; docs/findings/ has a page of that name."""
    title: ClassVar[str]
    severity: ClassVar[Severity] = "warning"
    by_cost: ClassVar[bool] = True
    """Whether it is information if it cost next to nothing; False if more than time is at stake."""
    adds_up: ClassVar[bool] = False
    """Whether the first number of its sentence is the count, and no other is a sum: then one sentence can be about
    several processes. Otherwise a report quotes the sentence of one process.
    """
    explanation: ClassVar[str] = ""
    """What it means, for readers who have never heard of it."""

    known: Known
    """The stream up to the record that is being read."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def client(self, record: Client) -> None:
        """A client was built, or closed."""

    def pool(self, record: Pool) -> None:
        """A pool was used for the first time."""

    def connection(self, record: Connection) -> None:
        """A connection was opened, or closed, or could not be set up."""

    def exchange(self, record: Exchange) -> None:
        """A request is over."""

    def progress(self, record: Exchange) -> None:
        """A request has taken long, or is not over at the end: `state` says how far it is."""

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        """Whether the next exchange of a client with a server can change the findings; if in doubt, True."""
        raise NotImplementedError

    def finding(
        self,
        place: Place,
        count: int,
        sentence: str,
        fix: str,
        cost: float | None = None,
        spent: str = "setup",
        notes: list[str] | None = None,
    ) -> Finding:
        """One of this rule's findings, without a saving; ``spent`` names what the cost is made of."""
        return Finding(
            pid=place.pid,
            code=self.code,
            title=self.title,
            severity=self.severity,
            kind=place.kind,
            origin=place.origin or None,
            call_site=place.call_site,
            sdk_call_site=place.sdk_call_site,
            count=count,
            cost=cost,
            parts={} if cost is None else {spent: cost},
            saving=None,
            fix=fix,
            sentence=sentence,
            notes=notes or [],
        )

    def findings(self) -> list[Finding]:
        """The findings so far; the call changes nothing."""
        raise NotImplementedError


def counted(*parts: tuple[int, str]) -> list[str]:
    """``3 by a timeout``, for each part that there is."""
    return [f"{number:,} {words}" for number, words in parts if number]
