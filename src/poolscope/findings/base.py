"""What a rule is: it reads the record stream as it comes and says at any time what it has found."""

from __future__ import annotations

from typing import ClassVar, Protocol

from poolscope.records import Finding, Record


class Rule(Protocol):
    """One finding's detector. It keeps bounded state, has no clock, and never guesses.

    The same records in the same order give the same findings, so a saved file tells what the live
    process told.
    """

    code: ClassVar[str]
    """Stable, as in ``PS101``; docs/findings.md has a section of that name."""
    title: ClassVar[str]

    def consume(self, record: Record) -> None:
        """Take in the next record of the stream."""
        ...

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        """Whether the next exchange of a client with a server can change what is found; never a wrong False."""
        ...

    def findings(self) -> list[Finding]:
        """What the records so far amount to; asking changes nothing."""
        ...
