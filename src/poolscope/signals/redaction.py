"""What may be reported about a request: its URL, method, server and error, without secrets.

The rules are the conventions' (https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/): no
userinfo, and no value of a query key that carries a signature. The keys are the union of those listed by
v1.41 and v1.44, because both kinds of signed URL are still in use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from poolscope.facts import DEFAULT_PORTS, RawOrigin
from poolscope.ledger.urls import format_origin, matches, text
from poolscope.otel_version import VariableError

SIGNED_KEYS: Final = frozenset(
    (
        "AWSAccessKeyId",
        "Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Goog-Signature",
        "sig",
    )
)
REDACTED: Final = "REDACTED"

_STANDARD: Final = "CONNECT,DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT,QUERY,TRACE"


def known_methods(said: str) -> frozenset[str]:
    """The methods of a comma-separated list; if it is empty, the standard ones."""
    return frozenset(name for part in (said.strip() or _STANDARD).split(",") if (name := part.strip()))


_KNOWN_METHODS: Final = known_methods(os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", ""))


@lru_cache(maxsize=2_048)
def server(origin: RawOrigin) -> tuple[str, int | None]:
    """(address, port) of the server a request is for; an IPv6 address without brackets."""
    host = (text(origin[1]) or "").rpartition("@")[2].strip("[]")
    port = origin[2]
    return host, DEFAULT_PORTS.get(text(origin[0]) or "") if port is None else port


def method(raw: bytes | str | None) -> str:
    """The method as the conventions want it: a known one, else ``_OTHER``."""
    name = text(raw)
    return name if name in _KNOWN_METHODS else "_OTHER"


def url_full(origin: RawOrigin, target: bytes | str | None) -> str:
    """The URL of a request, redacted; ``target`` is a path with query, or a whole URL (forward proxy)."""
    url = (target.decode("ascii", "backslashreplace") if isinstance(target, bytes) else target) or "/"
    if url[0] == "/":
        url = format_origin(origin) + url
    elif "://" not in url:
        url = f"{format_origin(origin)}/{url}"
    elif "@" in url:
        url = _without_userinfo(url)
    return _without_signatures(url) if "?" in url else url


def _without_userinfo(url: str) -> str:
    scheme, _, rest = url.partition("://")
    end = len(rest)
    for mark in "/?#":
        found = rest.find(mark)
        end = end if found < 0 else min(end, found)
    userinfo, at, host = rest[:end].rpartition("@")
    if not at:
        return url
    hidden = f"{REDACTED}:{REDACTED}" if ":" in userinfo else REDACTED
    return f"{scheme}://{hidden}@{host}{rest[end:]}"


def _without_signatures(url: str) -> str:
    head, mark, tail = url.partition("?")
    query, hash_, fragment = tail.partition("#")
    pairs = query.split("&")
    for index, pair in enumerate(pairs):
        key, equals, _ = pair.partition("=")
        if equals and key in SIGNED_KEYS:
            pairs[index] = f"{key}={REDACTED}"
    return f"{head}{mark}{'&'.join(pairs)}{hash_}{fragment}"


def excluding_servers(patterns: str | None) -> Callable[[RawOrigin], bool] | None:
    """A function that says whether comma-separated ``patterns`` fit a server; None without patterns."""
    parts = [part.strip() for part in (patterns or "").split(",") if part.strip()]
    if not parts:
        return None

    @lru_cache(maxsize=2_048)
    def excluded(origin: RawOrigin) -> bool:
        host, port = server(origin)
        shown = (
            f"{text(origin[0])}://[{host}]:{port}" if ":" in host else f"{text(origin[0])}://{host}:{port}"
        )
        return any(matches(known, part) for part in parts for known in (shown, format_origin(origin)))

    return excluded


def excluding(patterns: str | None) -> re.Pattern[str] | None:
    """The one pattern of a comma-separated list of regular expressions; ValueError for an invalid one.

    Without a list, ``OTEL_PYTHON_POOLSCOPE_EXCLUDED_URLS`` and ``OTEL_PYTHON_EXCLUDED_URLS`` are asked; there it
    is a VariableError.
    """
    if patterns is not None:
        if not isinstance(patterns, str):
            raise TypeError(f"excluded_urls is a comma-separated string, not {type(patterns).__name__}")
        return _one_of(patterns, "excluded_urls", ValueError)
    for variable in ("OTEL_PYTHON_POOLSCOPE_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS"):
        if os.environ.get(variable):
            return _one_of(os.environ[variable], variable, VariableError)
    return None


def _one_of(patterns: str, name: str, refusal: type[ValueError]) -> re.Pattern[str] | None:
    parts = [part.strip() for part in patterns.split(",") if part.strip()]
    for part in parts:
        try:
            re.compile(part)
        except re.error as error:
            raise refusal(f"{name}: {part!r} is not a regular expression: {error}") from None
    return re.compile("|".join(parts)) if parts else None
