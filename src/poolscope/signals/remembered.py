"""What a request's sheet remembers of its span, from its start to its headers; then only plain values remain."""

from __future__ import annotations

from time import time_ns
from typing import Any, Final

from poolscope.facts import now
from poolscope.signals.owner import Owner


class Live:
    """A span of ours that records; of any other of ours nothing is remembered."""

    __slots__ = ("anchor", "request", "span")

    own: bool = True
    """Whether the span is ours."""
    described: bool = True
    """Whether the span gets this exchange's facts."""
    duration_recorded: bool = False
    """Whether somebody else records the duration."""
    excluded: bool = False

    def __init__(self, anchor: int, span: Any) -> None:
        self.anchor = anchor
        """Epoch nanoseconds at `now()` zero."""
        self.span = span
        """The request's span while it records: ours, or that of somebody above us."""
        self.request: Any = None
        """The library's request, for `response_hook` only."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} span={self.span!r}>"


class Foreign(Live):
    """A span that somebody above us made, if it records."""

    __slots__ = ("described", "duration_recorded")

    own = False

    def __init__(self, anchor: int, owner: Owner) -> None:
        super().__init__(anchor, owner.span)
        self.described = owner.described
        self.duration_recorded = owner.tells_duration


class Excluded(Live):
    """There is no span, and there are no metrics: the user has excluded the request's URL or server."""

    __slots__ = ()

    excluded = True


EXCLUDED: Final = Excluded(0, None)


def anchor_now() -> int:
    """Epoch nanoseconds at `now()` zero."""
    # Asked for each request: a clock that was set, or a laptop that slept, moves the other clock only.
    return time_ns() - int(now() * 1e9)
