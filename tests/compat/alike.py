"""Run something bare and watched, and compare the two."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from poolscope.testing import Capture, capture


def outcome_of(scenario: Callable[[], Any]) -> tuple[Any, ...]:
    """Its result, or its exception with every frame that the traceback shows, causes included."""
    try:
        return ("returned", scenario())
    except Exception as error:
        outcome = ("raised", *described(error))
        BaseException.with_traceback(
            error, None
        )  # aiohttp raises the same object again and again, which would keep it alive
        return outcome


def described(error: BaseException | None) -> list[Any]:
    """Class, text of the arguments, and frames of an exception and its causes."""
    chain: list[Any] = []
    while error is not None:
        frames = [(frame.filename, frame.name) for frame in traceback.extract_tb(error.__traceback__)]
        chain.append((type(error), without_addresses(str(error)), frames[1:] if not chain else frames))
        error = error.__cause__ or error.__context__
    return chain


def without_addresses(text: str) -> str:
    """An exception's text without object addresses, which differ from run to run."""
    head, *rest = text.split(" at 0x")
    return head + "".join(" at …" + part.lstrip("0123456789abcdefABCDEF") for part in rest)


def alike(scenario: Callable[[], Any]) -> Capture:
    """Assert that ``scenario`` ends the same way with poolscope; returns what was captured."""
    bare = outcome_of(scenario)
    with capture() as seen:
        watched = outcome_of(scenario)
    assert watched == bare
    return seen
