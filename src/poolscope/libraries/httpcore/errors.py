"""What the exceptions of httpcore and httpcore2 mean."""

from __future__ import annotations

from typing import Final

from poolscope.story import failures
from poolscope.story.failures import Meanings, Seen

MEANINGS: Final = Meanings(
    surely={
        "ConnectTimeout": "timeout",
        "ReadTimeout": "timeout",
        "WriteTimeout": "timeout",
        "PoolTimeout": "pool",
    },
    otherwise={
        "ReadError": "reset",
        "WriteError": "reset",
        "RemoteProtocolError": "protocol",
        "LocalProtocolError": "protocol",
        "ConnectError": "socket",
    },
)


def seen(error: BaseException) -> Seen:
    """What ``error`` means."""
    what = failures.seen(error, MEANINGS)
    if what.kind == "protocol" and _says_the_end(error):
        return Seen("ended")
    return what


def _says_the_end(error: BaseException) -> bool:
    """Whether nothing more came, as httpcore itself found; where h11 or h2 found it, the argument is their exception."""
    return bool(error.args) and isinstance(error.args[0], str)
