"""poolscope: the truth about a Python program's HTTP connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolscope.instrumentor import instrument, snapshot, uninstrument

if TYPE_CHECKING:
    from poolscope.adapter import AdapterMixin, HTTPAdapter
    from poolscope.transports import AsyncHTTPTransport, HTTPTransport, trace

__version__ = "0.1.0"

__all__ = [
    "AdapterMixin",
    "AsyncHTTPTransport",
    "HTTPAdapter",
    "HTTPTransport",
    "instrument",
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
    "testing": "poolscope",
}


def __getattr__(name: str) -> Any:
    """Load the explicit doors on first use: they need httpx or requests, which a program may not have."""
    home = _LAZY.get(name)
    if home is None:
        raise AttributeError(f"module 'poolscope' has no attribute {name!r}")
    import importlib

    if name == "testing":
        return importlib.import_module("poolscope.testing")
    return getattr(importlib.import_module(home), name)
