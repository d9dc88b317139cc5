"""What a rule is: it reads the record stream as it comes and says at any time what it has found."""

from __future__ import annotations

from typing import ClassVar

from poolscope.records import Client, Connection, Exchange, Finding, Pool, Severity


class Rule:
    """One finding's detector. It keeps bounded state, has no clock, and never guesses.

    The same records in the same order give the same findings, so a saved file tells what the live
    process told. A rule defines those of `client`, `pool`, `connection` and `exchange` that it needs;
    the others are never called. In a live process it sees only exchanges that are out of the ordinary
    (`poolscope.ledger.unusual`) and those that it, or another rule, says it `needs`.
    """

    code: ClassVar[str]
    """Stable, as in ``PS101``; docs/findings/ has a page of that name."""
    title: ClassVar[str]
    severity: ClassVar[Severity] = "warning"
    by_cost: ClassVar[bool] = True
    """Whether it is info where it cost next to nothing; False where something else is at stake than time."""
    explanation: ClassVar[str] = ""
    """What it means, for somebody who has never heard of it."""

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

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        """Whether the next exchange of a client with a server can change what is found; never a wrong False."""
        raise NotImplementedError

    def findings(self) -> list[Finding]:
        """What the records so far amount to; asking changes nothing."""
        raise NotImplementedError
