"""Whose moves are reported: everybody's while the program is instrumented, else only those of marked objects."""

from __future__ import annotations

from typing import Final

ALWAYS: Final = 0
"""The era of objects that were asked to be observed by themselves."""


class Sight:
    """Whether the whole program is observed, and in which era: what an older mark knows has a gap since."""

    __slots__ = ("era", "everybody")

    def __init__(self) -> None:
        self.era = 1
        self.everybody = False

    def __repr__(self) -> str:
        return f"<Sight of {'everybody' if self.everybody else 'marked objects'}, era {self.era}>"

    def opens(self) -> None:
        """The program is instrumented from now on."""
        if not self.everybody:
            self.everybody = True
            self.era += 1

    def closes(self) -> None:
        """From now on only marked objects are observed."""
        self.everybody = False

    def reaches(self, era: int) -> bool:
        """Whether an object marked in ``era`` has been watched without a gap."""
        return era == ALWAYS or (self.everybody and era == self.era)


SIGHT: Final = Sight()
