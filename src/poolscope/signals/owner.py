"""Who makes the request's span: us, or an instrumentation above us.

Another instrumentation does if HTTP instrumentation is suppressed here; or if the current span is a recording HTTP
CLIENT span for this exchange's server; or if it does not record but the request already carries its id. Everything is
read with ``getattr``: some vendors wrap spans.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind

from poolscope.facts import DEFAULT_PORTS, Exchange
from poolscope.ledger.urls import format_origin, text
from poolscope.signals import names
from poolscope.signals.redaction import server

SUPPRESS_HTTP: Final = getattr(
    otel_context, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"
)
_OFFICIAL: Final = "opentelemetry.instrumentation."


class Owner(NamedTuple):
    """Who owns the request's span."""

    span: Any
    """The owner's span while it records, else None."""
    described: bool
    """Whether that span is about this exchange's server, so that it gets the facts."""
    tells_duration: bool
    """Whether the owner records ``http.client.request.duration`` for it."""


def find_owner(current: Any, exchange: Exchange, request: Any) -> Owner | None:
    """The owner of ``exchange``'s span; None if we make it."""
    recording = current.is_recording()
    if otel_context.get_value(SUPPRESS_HTTP):
        attributes = _http_attributes(current) if recording else None
        if attributes is None:
            return Owner(None, False, _opted_in())
        return Owner(current, _serves(attributes, exchange), _tells(current, attributes))
    if recording:
        attributes = _http_attributes(current)
        if attributes is not None and _serves(attributes, exchange):
            return Owner(current, True, _tells(current, attributes))
        return None
    context = current.get_span_context()
    if context.is_valid and _carries(request, context.span_id):
        return Owner(None, False, _opted_in())
    return None


def _http_attributes(span: Any) -> Mapping[str, Any] | None:
    if getattr(span, "kind", None) is not SpanKind.CLIENT:
        return None
    attributes: Mapping[str, Any] | None = getattr(span, "attributes", None)
    if attributes is None or (names.METHOD not in attributes and "http.method" not in attributes):
        return None
    return attributes


def _serves(attributes: Mapping[str, Any], exchange: Exchange) -> bool:
    """Whether the server these attributes name is the exchange's; a missing port is the scheme's default.

    The URL is compared too: an internationalised host has two spellings, and one of them is used on the wire.
    """
    url = attributes.get(names.URL_FULL) or attributes.get("http.url")
    if isinstance(url, str) and _begins_with(url, format_origin(exchange.origin)):
        return True
    host, port = server(exchange.origin)
    default = DEFAULT_PORTS.get(text(exchange.origin[0]) or "")
    if isinstance(url, str):
        try:
            parts = urlsplit(url)
            if (parts.hostname or "") == host.lower() and (parts.port or default) == port:
                return True
        except ValueError:
            pass
    address = attributes.get(names.SERVER_ADDRESS) or attributes.get("net.peer.name")
    if not isinstance(address, str) or address.lower().strip("[]") != host.lower():
        return False
    return (attributes.get(names.SERVER_PORT) or attributes.get("net.peer.port") or default) == port


def _begins_with(url: str, origin: str) -> bool:
    """Whether ``url`` is spelt as we would: nearly always, and parsing it takes ten times as long."""
    return url.startswith(origin) and url[len(origin) : len(origin) + 1] in _AFTER_AUTHORITY


_AFTER_AUTHORITY: Final = ("", "/", "?", "#")


def _tells(span: Any, attributes: Mapping[str, Any]) -> bool:
    """The official packages record the duration under the new name exactly when they use the new attributes."""
    if names.METHOD not in attributes:
        return False
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", None)
    return isinstance(scope, str) and scope.startswith(_OFFICIAL)


def _opted_in() -> bool:
    """Whether an owner exists with a span that does not record, so that nothing can be read from it."""
    opted = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
    if not any(part.strip() in ("http", "http/dup") for part in opted):
        return False
    return any(
        f"{_OFFICIAL}{name}" in sys.modules for name in ("httpx", "requests", "urllib3", "aiohttp_client")
    )


def is_traced(request: Any) -> bool:
    """Whether the request has a propagation header already."""
    return any(True for _ in _carried(request))


def _carries(request: Any, span_id: int) -> bool:
    """Whether one of the request's propagation headers has ``span_id`` in it already."""
    wanted = f"{span_id:016x}"
    return any(wanted in (text(value) or "").lower() for value in _carried(request))


def _carried(request: Any) -> Iterator[Any]:
    """The values of the request's propagation headers."""
    headers = getattr(request, "headers", request)
    items = headers.items() if hasattr(headers, "items") else headers
    for name, value in items or ():
        if (text(name) or "").lower() in _CARRIERS:
            yield value


_CARRIERS: Final = frozenset(
    ("traceparent", "b3", "x-b3-spanid", "uber-trace-id", "x-amzn-trace-id", "x-cloud-trace-context", "sw8")
)
