"""urllib3: where it is observed, as tables of points in the files beside this one."""

from __future__ import annotations

import importlib
from types import ModuleType

from poolscope.libraries import resolver, urllib3_future
from poolscope.libraries.point import Point
from poolscope.libraries.urllib3.connection import CHUNKS, CONNECTION
from poolscope.libraries.urllib3.manager import MANAGER
from poolscope.libraries.urllib3.pool import POOL
from poolscope.libraries.urllib3.setup import SETUP, SOCKS

__all__ = ["points"]


def points(module: ModuleType) -> tuple[Point, ...]:
    """The hook points of urllib3 or its SOCKS support. SOCKS is a separate import, which warns if PySocks is
    missing.
    """
    if urllib3_future.has_replaced_urllib3():
        return ()
    if module.__name__.endswith(".contrib.socks"):
        return SOCKS
    connection = importlib.import_module(f"{module.__name__}.connection")
    chunks = () if hasattr(connection.HTTPConnection, "is_closed") else (CHUNKS,)
    return *MANAGER, *POOL, *SETUP, *CONNECTION, *chunks, resolver.SOCKET
