"""aiohttp: the hook points of sessions, connectors, connections and answers. ``TraceConfig`` is not used: that list
belongs to the program, and reports neither connections nor closes.
"""

from poolscope.libraries.aiohttp.session import points

__all__ = ["points"]
