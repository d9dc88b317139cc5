"""The report of a run in which nothing happened: apart from the others, because they load so much."""

from __future__ import annotations

from collections.abc import Sequence

from poolscope.reports.printable import page


def nothing(not_observed: Sequence[str], patterns: Sequence[str]) -> str:
    """The message if there was no connection and no request."""
    if not_observed:
        others = ", ".join(not_observed)
        return f"no request through httpx, requests, urllib3 or aiohttp was seen; not observed: {others}"
    where = f" to an origin that matches {' or '.join(patterns)}" if patterns else ""
    return f"no HTTP connection was opened and no request was sent through httpx, requests, urllib3 or aiohttp{where}"


def only_nothing(message: str) -> str:
    """The whole report with that message, without colour."""
    return page([f"poolscope  {message}"])
