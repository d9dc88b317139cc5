"""The incoming request that a program is serving, if a middleware reports it.

Requests sent meanwhile in the same context belong to it. Only its route is kept: a template such as ``/cart/{id}``,
never the requested path.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from poolscope.facts import Exchange
from poolscope.ids import Count

METHODS: Final = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT QUERY".split())
OTHER_METHOD: Final = "_OTHER"
"""The conventions' name for an unknown method."""
LONGEST: Final = 200
"""Characters of a route at most."""
MOST: Final = 200
"""How many routes a process distinguishes; later ones are ``other``."""
NO_ROUTE: Final = "(no route)"
OTHER: Final = "other"

_ids: Final = Count()
_routes: Final[dict[str, None]] = {}


class Served:
    """A request that is being served."""

    __slots__ = ("_find", "_method", "_route", "id", "sent")

    def __init__(self, method: str, find_route: Callable[[], str | None]) -> None:
        self.id = _ids.up()
        self.sent = Count()
        """Requests sent meanwhile."""
        self._method = method if method in METHODS else OTHER_METHOD
        self._find: Callable[[], str | None] = find_route
        self._route: str | None = None

    def __repr__(self) -> str:
        return f"<Served {self._method} {self._route or '?'}, {self.sent.value} requests sent>"

    @property
    def route(self) -> str:
        """``GET /cart/{id}``; frameworks know it only once they have begun to serve."""
        if self._route is None:
            self._route = self._found()
        return _bounded(f"{self._method} {self._route or NO_ROUTE}")

    def _found(self) -> str | None:
        try:
            return self._find()
        except Exception:  # the program's own fault, for which no request is lost
            return None

    def found_by(self, find_route: Callable[[], str | None]) -> None:
        """An inner middleware knows the route better."""
        self._find = find_route

    def sends(self, exchange: Exchange) -> None:
        """``exchange`` is part of it."""
        exchange.served, exchange.served_call, exchange.route = self.id, self.sent.up(), self.route


def _bounded(route: str) -> str:
    if route not in _routes:
        if len(_routes) >= MOST or len(route) > LONGEST:
            return OTHER
        _routes[route] = None
    return route


SERVED: Final[ContextVar[Served | None]] = ContextVar("poolscope_served", default=None)
"""The request that is being served in this context."""
