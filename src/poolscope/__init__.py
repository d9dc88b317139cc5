"""poolscope: the truth about a Python program's HTTP connections.

PYTEST_DONT_REWRITE: with a variable set, it is imported before pytest is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolscope.instrumentor import instrument, snapshot, uninstrument

if TYPE_CHECKING:
    from poolscope.adapter import AdapterMixin, HTTPAdapter
    from poolscope.block import Recording, record
    from poolscope.notebook import load_ipython_extension
    from poolscope.transports import AsyncHTTPTransport, HTTPTransport, trace

__version__ = "0.1.0"

__all__ = [
    "AdapterMixin",
    "AsyncHTTPTransport",
    "HTTPAdapter",
    "HTTPTransport",
    "Recording",
    "instrument",
    "load_ipython_extension",
    "record",
    "snapshot",
    "trace",
    "uninstrument",
]

_LAZY = {
    "HTTPAdapter": "poolscope.adapter",
    "AdapterMixin": "poolscope.adapter",
    "HTTPTransport": "poolscope.transports",
    "AsyncHTTPTransport": "poolscope.transports",
    "trace": "poolscope.transports",
    "Recording": "poolscope.block",
    "record": "poolscope.block",
    "load_ipython_extension": "poolscope.notebook",
    "testing": "poolscope",
}


def __getattr__(name: str) -> Any:
    """Load the other doors on first use: they need packages that a program may not have, or load slowly."""
    home = _LAZY.get(name)
    if home is None:
        raise AttributeError(f"module 'poolscope' has no attribute {name!r}")
    import importlib

    if name == "testing":
        return importlib.import_module("poolscope.testing")
    return getattr(importlib.import_module(home), name)
