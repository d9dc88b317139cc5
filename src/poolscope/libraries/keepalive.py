"""What a server says about how long it keeps an idle connection: ``Keep-Alive: timeout=5, max=100``."""

from __future__ import annotations

from typing import Any


def timeout_of(value: bytes | str | None) -> float | None:
    """Seconds from the value of a ``Keep-Alive`` header; None where it does not say."""
    if value is None:
        return None
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    for part in text.split(","):
        name, _, seconds = part.partition("=")
        if name.strip().lower() == "timeout" and seconds.strip().isdigit():
            return float(seconds)
    return None


def in_headers(headers: Any) -> float | None:
    """The same, from a list of raw headers."""
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"keep-alive":
            return timeout_of(value)
    return None
