"""Which objects are reported: all while the program is instrumented, else only marked ones."""

from __future__ import annotations

from typing import Final


class Era:
    """A period in which objects are watched without a gap."""

    __slots__ = ("goes_on",)

    def __init__(self, goes_on: bool) -> None:
        self.goes_on = goes_on
        """Whether an object of this era has been watched ever since."""

    def __repr__(self) -> str:
        return f"<Era that {'goes on' if self.goes_on else 'is over'}>"


NEVER: Final = Era(goes_on=False)
"""The era of objects that poolscope has not seen yet."""


class Sight:
    """Whether the whole program is observed, and in which era: marks of older eras have a gap."""

    __slots__ = ("era", "everybody", "own")

    def __init__(self) -> None:
        self.own = Era(goes_on=True)
        """The era of objects that were chosen to be observed."""
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
        """Chosen objects are no longer observed, until chosen again."""
        self.own.goes_on = False
        self.own = Era(goes_on=True)


SIGHT: Final = Sight()
