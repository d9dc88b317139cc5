"""The arguments of ``request_hook`` and ``response_hook``: the same for every library, with the library's own object
as ``raw``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from opentelemetry.trace import Span

from poolscope.facts import Exchange
from poolscope.ledger.urls import text
from poolscope.signals.redaction import url_full


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request as it goes out: one hop, without the headers that propagate its trace."""

    method: str
    url: str
    """As in ``url.full``: without userinfo and the values of signatures."""
    headers: dict[str, str] = field(repr=False)
    """By their names in lower case; a name that comes twice has both values, with a comma between them."""
    raw: Any = field(repr=False)
    """An ``httpcore.Request``, an ``aiohttp.ClientRequest``; for urllib3 and requests ``(method, target, headers)``."""


@dataclass(frozen=True, slots=True)
class HookResponse:
    """An answer after its headers and before its body."""

    status: int | None
    headers: dict[str, str] = field(repr=False)
    """By their names in lower case; a name that comes twice has both values, with a comma between them."""
    raw: Any = field(repr=False)
    """An ``httpcore.Response``, an ``http.client.HTTPResponse``, or aiohttp's ``RawResponseMessage``."""


RequestHook: TypeAlias = Callable[[Span, HookRequest], None]
"""Called when the span of a request begins."""
ResponseHook: TypeAlias = Callable[[Span, HookRequest, HookResponse], None]
"""Called before that span ends, if an answer came."""


def request_of(exchange: Exchange, raw: Any) -> HookRequest:
    """The library's request ``raw``, as a hook gets it."""
    url = url_full(exchange.origin, exchange.target)
    return HookRequest(text(exchange.method) or "", url, _headers(raw), raw)


def response_of(exchange: Exchange, raw: Any) -> HookResponse:
    """The library's answer ``raw``, as a hook gets it."""
    return HookResponse(exchange.status, _headers(raw), raw)


def _headers(raw: Any) -> dict[str, str]:
    given: Any = getattr(raw, "headers", None) or ()
    pairs: Iterable[tuple[Any, Any]] = given.items() if hasattr(given, "items") else given
    headers: dict[str, str] = {}
    for name, value in pairs:
        key, value_text = _text(name).lower(), _text(value)
        headers[key] = f"{headers[key]}, {value_text}" if key in headers else value_text
    return headers


def _text(raw: Any) -> str:
    return raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
