"""aiohttp: where its sessions, connectors, connections and answers are seen.

Its classes are woven, not its ``TraceConfig``: that is the program's own list, and knows neither connections nor closes.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from poolscope.libraries.aiohttp.connector import CONNECTOR
from poolscope.libraries.aiohttp.protocol import PROTOCOL
from poolscope.libraries.aiohttp.session import SESSION
from poolscope.libraries.aiohttp.setup import SETUP
from poolscope.libraries.point import Point

__all__ = ["points"]

POINTS: Final = (*SESSION, *CONNECTOR, *SETUP, *PROTOCOL)


def points(_module: ModuleType) -> tuple[Point, ...]:
    """Where aiohttp is seen."""
    return POINTS
