"""Origins and URLs of requests, without what must not leave the process."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from poolscope.facts import DEFAULT_PORTS
from poolscope.ledger.tokens import HIDDEN, hide_tokens, is_token

LONGEST_URL: Final = 2_048


def text(value: bytes | str | None) -> str | None:
    """``value`` as text; bytes are read as ASCII, the odd rest escaped."""
    return value.decode("ascii", "backslashreplace") if isinstance(value, bytes) else value


@lru_cache(maxsize=2_048)
def format_origin(origin: tuple[Any, Any, int | None]) -> str:
    """``scheme://host[:port]`` (RFC 6454): no userinfo, no default port, IPv6 in brackets."""
    scheme, host, port = text(origin[0]) or "", text(origin[1]) or "", origin[2]
    host = host.rpartition("@")[2]
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    shown_port = "" if port is None or port == DEFAULT_PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{host}{shown_port}"


@lru_cache(maxsize=2_048)
def raw_origin(origin: str) -> tuple[str, str, int | None]:
    """(scheme, host, port) of a string from `format_origin`."""
    scheme, _, rest = origin.partition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or not port.isdigit():
        return scheme, rest.strip("[]"), None
    return scheme, host.strip("[]"), int(port)


def format_url(
    origin: str, target: bytes | str | None, keep_query: bool, keep_path: bool = False
) -> str | None:
    """The URL of a request without userinfo, fragment and (unless kept) query values and tokens in its path.

    ``target`` is a path with query, or a whole URL where a forward proxy needs one.
    """
    target = text(target)
    if target is None:
        return None
    if not target.startswith("/") and "://" in target:
        from urllib.parse import urlsplit  # takes milliseconds, and a program that sends nothing needs none

        try:
            parts = urlsplit(target)
        except ValueError:  # brackets where none belong: not a URL, and anything may be in it
            return None
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        target = parts.path + (f"?{parts.query}" if parts.query else "")
    path, mark, query = target.partition("#")[0].partition("?")
    if mark and not keep_query:
        query = "&".join(map(_without_value, query.split("&")))
    if not keep_path:
        path = hide_tokens(path)
    return f"{origin}{path}{mark}{query}"[:LONGEST_URL]


def shown_url(url: str) -> str:
    """A given URL as it may be shown: without userinfo, query values and tokens in its path."""
    return format_url("", url, keep_query=False) or "(no URL)"


def _without_value(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if equals:
        name = HIDDEN if is_token(name) else name
        return f"{name}={HIDDEN}" if value else f"{name}="
    return HIDDEN if pair else ""  # a bare token may itself be the secret


def matches(origin: str, pattern: str) -> bool:
    """Whether ``pattern`` fits the origin, its host and port, or its host alone."""
    authority = origin.partition("://")[2] or origin
    host = authority.rpartition(":")[0] if ":" in authority.rpartition("]")[2] else authority
    return any(fnmatchcase(part.lower(), pattern.lower()) for part in (origin, authority, host))
