"""What the first answer on a connection shows: how long the server keeps it when idle, and how much it sends."""

from __future__ import annotations

from typing import Any


def timeout_of(value: bytes | str | None) -> float | None:
    """Seconds from the value of a ``Keep-Alive`` header (``timeout=5, max=100``); None where it does not say."""
    if value is None:
        return None
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    for part in text.split(","):
        name, _, seconds = part.partition("=")
        if name.strip().lower() == "timeout" and seconds.strip().isdigit():
            return float(seconds)
    return None


def in_headers(headers: Any) -> tuple[float | None, int | None]:
    """The same, and the Content-Length, from a list of raw headers."""
    timeout = length = None
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"keep-alive":
            timeout = timeout_of(value)
        elif len(name) == 14 and name.lower() == b"content-length" and value.isdigit():
            length = int(value)
    return timeout, length
