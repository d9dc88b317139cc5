"""aiohttp: where its sessions, connectors, connections and answers are seen.

Its classes are woven, not its ``TraceConfig``: that is the program's own list, and knows neither connections nor closes.
"""

from poolscope.libraries.aiohttp.session import points

__all__ = ["points"]
