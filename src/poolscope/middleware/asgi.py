"""The middleware for ASGI servers. Starlette and FastAPI put the route into the scope; for others pass ``route``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from poolscope.middleware.debug import PAGE, QUERY, Answer, Watched, appended, page_for
from poolscope.story.served import SERVED, Served

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]


class ASGI:
    """Wraps an ASGI application.

    ``route`` gives a request's route from its scope. ``allow_debug`` is asked with the scope whether this request
    may see ``/-/poolscope`` and use ``?poolscope``; without it no request may.
    """

    def __init__(
        self,
        app: Application,
        *,
        route: Callable[[Scope], str | None] | None = None,
        allow_debug: Callable[[Scope], bool] | None = None,
    ) -> None:
        self.app = app
        self._route = route or _route
        self._allow_debug = allow_debug

    def __repr__(self) -> str:
        return f"<poolscope.middleware.ASGI of {self.app!r}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; anything else (lifespan, a websocket) passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_debugged = self._allow_debug is not None and _asks(scope) and self._allow_debug(scope)
        if is_debugged:  # a server's own ways to answer, such as by the path of a file, cannot be held back
            scope = {**scope, "extensions": {}}
        served = Served(str(scope.get("method", "")), lambda: self._route(scope))
        if is_debugged:
            await self._debugged(scope, receive, send, served)
            return
        token = SERVED.set(served)
        try:
            await self.app(scope, receive, send)
        finally:
            SERVED.reset(token)

    async def _debugged(self, scope: Scope, receive: Receive, send: Send, served: Served) -> None:
        if scope["path"] == PAGE:
            await _send_whole(page_for(scope.get("query_string", b"").decode("latin-1")), send)
            return
        whole = _Whole()
        token = SERVED.set(served)
        try:
            with Watched(served) as watched:
                await self.app(scope, receive, whole.send)
        finally:
            SERVED.reset(token)
        await _send_whole(appended(whole.answer, watched.report()), send)


class _Whole:
    """Takes an answer in, instead of sending it."""

    def __init__(self) -> None:
        self.answer = Answer("500", [], b"")

    def __repr__(self) -> str:
        return f"<_Whole {self.answer!r}>"

    async def send(self, message: Message) -> None:
        """One message of the application's."""
        if message["type"] == "http.response.start":
            headers = [
                (bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                for name, value in message.get("headers", ())
            ]
            self.answer = Answer(str(message["status"]), headers, b"")
        elif message["type"] == "http.response.body":
            self.answer = self.answer._replace(body=self.answer.body + message.get("body", b""))


async def _send_whole(answer: Answer, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    status = int(answer.status.partition(" ")[0])
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _asks(scope: Scope) -> bool:
    if scope.get("method") == "HEAD":  # its answer has no body
        return False
    names = scope.get("query_string", b"").split(b"&")
    return scope["path"] == PAGE or any(name.partition(b"=")[0] == QUERY.encode() for name in names)


def _route(scope: Scope) -> str | None:
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None
