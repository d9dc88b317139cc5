"""The middleware for WSGI servers. Flask's route is found automatically; for others pass ``route``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from poolscope.middleware.debug import PAGE, QUERY, Answer, Watched, appended, page_for
from poolscope.story.served import SERVED, Served

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[..., Any]


class WSGI:
    """Wraps a WSGI application.

    ``route`` gives a request's route from its environ. ``allow_debug`` is asked with the environ whether this
    request may see ``/-/poolscope`` and use ``?poolscope``; without it no request may.
    """

    def __init__(
        self,
        application: Application,
        *,
        route: Callable[[Environ], str | None] | None = None,
        allow_debug: Callable[[Environ], bool] | None = None,
    ) -> None:
        self._application = application
        self._route = route or _flask_route
        self._allow_debug = allow_debug

    def __repr__(self) -> str:
        return f"<poolscope.middleware.WSGI of {self._application!r}>"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        served = Served(str(environ.get("REQUEST_METHOD", "")), lambda: self._route(environ))
        if self._allow_debug is not None and _asks(environ) and self._allow_debug(environ):
            return self._debugged(environ, start_response, served)
        token = SERVED.set(served)
        try:
            body: Iterable[bytes] = self._application(environ, start_response)
        finally:
            SERVED.reset(token)
        if isinstance(body, list | tuple) or _is_a_file(body, environ):
            return body
        return _SizedBody(body, served) if hasattr(body, "__len__") else _Body(body, served)

    def _debugged(self, environ: Environ, start_response: StartResponse, served: Served) -> Iterable[bytes]:
        if environ.get("PATH_INFO") == PAGE:
            answer = page_for(str(environ.get("QUERY_STRING", "")))
        else:
            with Watched(served) as watched:
                answer = _whole(self._application, environ, served)
            answer = appended(answer, watched.report())
        start_response(answer.status, answer.headers)
        return [answer.body]


def _asks(environ: Environ) -> bool:
    if environ.get("REQUEST_METHOD") == "HEAD":  # its answer has no body
        return False
    names = str(environ.get("QUERY_STRING", "")).split("&")
    return environ.get("PATH_INFO") == PAGE or any(name.partition("=")[0] == QUERY for name in names)


def _whole(application: Application, environ: Environ, served: Served) -> Answer:
    """Call the application, and wait for all of its answer."""
    started: list[Any] = ["500 Internal Server Error", []]
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        started[:] = [status, headers]
        return written.append

    token = SERVED.set(served)
    try:
        body = application(environ, start_response)
        try:
            written.extend(body)
        finally:
            _close(body)
    finally:
        SERVED.reset(token)
    return Answer(started[0], list(started[1]), b"".join(written))


class _Body:
    """An answer that is produced while it is sent: requests sent meanwhile count for it, too."""

    def __init__(self, body: Iterable[bytes], served: Served) -> None:
        self._body = body
        self._served = served
        self._pieces: Iterator[bytes] | None = None

    def __repr__(self) -> str:
        return f"<_Body of {self._served!r}>"

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = SERVED.set(self._served)
        try:
            if self._pieces is None:
                self._pieces = iter(self._body)
            return next(self._pieces)
        finally:
            SERVED.reset(token)

    def close(self) -> None:
        """WSGI servers call this at the end."""
        _close(self._body)


class _SizedBody(_Body):
    """An answer with a length: if that is 1, a server sets Content-Length by itself."""

    def __len__(self) -> int:
        size: int = len(self._body)  # type: ignore[arg-type]
        return size


def _is_a_file(body: Any, environ: Environ) -> bool:
    """Whether the server itself sends it, perhaps by sendfile, without running the program meanwhile."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def _close(body: Any) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()


_FLASK: Final = "flask"


def _flask_route(_: Environ) -> str | None:
    flask = sys.modules.get(_FLASK)
    if flask is None or not flask.has_request_context():
        return None
    rule = flask.request.url_rule
    return None if rule is None else str(rule.rule)
