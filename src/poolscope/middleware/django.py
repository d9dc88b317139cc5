"""The middleware for Django, sync and async: ``MIDDLEWARE = ["poolscope.middleware.django.Django", …]``.

For ``?poolscope`` and the debug page wrap the application in `poolscope.middleware.WSGI` or ``ASGI`` as well.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from poolscope.story.served import SERVED, Served


class Django:
    """A Django middleware; put it first."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            from asgiref.sync import markcoroutinefunction

            markcoroutinefunction(self)

    def __repr__(self) -> str:
        return f"<poolscope.middleware.django.Django {'async' if self._is_async else 'sync'}>"

    def __call__(self, request: Any) -> Any:
        """Serve a request."""
        if self._is_async:
            return self._serve(request)
        token = SERVED.set(_served(request))
        try:
            return self._get_response(request)
        finally:
            SERVED.reset(token)

    async def _serve(self, request: Any) -> Any:
        token = SERVED.set(_served(request))
        try:
            return await self._get_response(request)
        finally:
            SERVED.reset(token)


def _served(request: Any) -> Served:
    outer = SERVED.get()
    if outer is not None:  # the WSGI or ASGI middleware around Django began it
        outer.found_by(lambda: _route(request))
        return outer
    return Served(request.method or "", lambda: _route(request))


def _route(request: Any) -> str | None:
    match = request.resolver_match
    return None if match is None else f"/{str(match.route).removeprefix('^').removeprefix('/')}"
