"""Whose moves are reported: everybody's while the program is instrumented, else only those of marked objects."""

from __future__ import annotations

from typing import Final


class Era:
    """A time in which objects are watched without a gap."""

    __slots__ = ("goes_on",)

    def __init__(self, goes_on: bool) -> None:
        self.goes_on = goes_on
        """Whether what an object of this era remembers is all that happened to it."""

    def __repr__(self) -> str:
        return f"<Era that {'goes on' if self.goes_on else 'is over'}>"


NEVER: Final = Era(goes_on=False)
"""The value for objects that poolscope has not looked into yet."""


class Sight:
    """Whether the whole program is observed, and in which era: what an older mark knows has a gap since."""

    __slots__ = ("era", "everybody", "own")

    def __init__(self) -> None:
        self.own = Era(goes_on=True)
        """That of objects that were asked to be observed by themselves."""
        self.era = NEVER
        self.everybody = False

    def __repr__(self) -> str:
        return f"<Sight of {'everybody' if self.everybody else 'marked objects'}>"

    def opens(self) -> None:
        """The program is instrumented from now on."""
        if not self.everybody:
            self.everybody = True
            self.era = Era(goes_on=True)

    def closes(self) -> None:
        """From now on only marked objects are observed."""
        if self.everybody:
            self.everybody = False
            self.era.goes_on = False

    def forgets_some(self) -> None:
        """What was asked to be observed by itself is not, until asked again."""
        self.own.goes_on = False
        self.own = Era(goes_on=True)


SIGHT: Final = Sight()
