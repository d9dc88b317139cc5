"""A pytest plugin for the environments with old libraries: what those cannot do, and why.

Every entry must match a test, so that no entry outlives its reason.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

import pytest


class Cannot(NamedTuple):
    """Tests of something that a library cannot do before a version."""

    tests: str
    """A regular expression to search for in the test's id."""
    library: str
    before: tuple[int, ...]
    because: str


CANNOT = (
    Cannot(
        r"test_an_untrusted_certificate\[httpx-asyncio\]",
        "httpcore",
        (1, 0, 6),
        "on asyncio the error of a failed handshake is not turned into a ConnectError",
    ),
    Cannot(
        r"test_cancelled_while_waiting\[httpx-",
        "httpcore",
        (1, 0, 3),
        "a request that is cancelled while it waits stays in the pool's queue",
    ),
    Cannot(
        r"test_a_response_pins_the_socket_of_a_closed_session",
        "urllib3",
        (1, 26, 16),
        "a session closes all its connections, also those of open responses",
    ),
    Cannot(
        r"test_urllib3_closes\.py::\w+_shuts?_down",
        "urllib3",
        (2, 3),
        "a program cannot shut down the socket of an answer",
    ),
    Cannot(
        r"test_aiohttp\.py::test_a_wait_that_is_given_up",
        "aiohttp",
        (3, 11),
        "the time limit of a wait is outside the connector, which is only cancelled",
    ),
    Cannot(
        r"test_aiohttp\.py::test_an_answer_that_comes_before_the_request_was_written",
        "aiohttp",
        (3, 11),
        "it takes the request for sent, and keeps the connection",
    ),
)
UNCLOSED_BEFORE = (1, 26, 16)
"""Before this version urllib3 leaves the sockets of a forgotten pool to the garbage collector, which warns of them."""


def installed(library: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version(library))[:3])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if find_spec("httpx2") is None:  # it is younger than all of these
        theirs = [item for item in items if re.search(r"\bhttp(x|core)2\b", item.nodeid)]
        config.hook.pytest_deselected(items=theirs)
        items[:] = [item for item in items if item not in theirs]
    cannot = [entry for entry in CANNOT if installed(entry.library) < entry.before]
    matched = set()
    for item in items:
        for entry in cannot:
            if re.search(entry.tests, item.nodeid):
                matched.add(entry)
                item.add_marker(pytest.mark.skip(reason=f"{entry.library}: {entry.because}"))
        if installed("urllib3") < UNCLOSED_BEFORE:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))
    idle = set(cannot) - matched
    if idle:
        raise pytest.UsageError(f"no test matches {', '.join(entry.tests for entry in idle)}")


def pytest_report_header() -> str:
    found = []
    for library in ("httpx", "httpcore", "requests", "urllib3", "aiohttp"):
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            found.append(f"no {library}")
    return ", ".join(found)
