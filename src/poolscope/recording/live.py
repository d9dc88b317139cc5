"""The socket that `--live` asks for; loaded only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolscope.recording.options import Options

if TYPE_CHECKING:
    from poolscope.look.server import LiveSocket


def live_socket(options: Options) -> LiveSocket | None:
    """Where `poolscope top` looks in; None if it may not."""
    if not options.live:
        return None
    from poolscope.look.server import LiveSocket

    return LiveSocket()
