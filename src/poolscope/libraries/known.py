"""The libraries that poolscope observes, and what it must know of each before it is imported: add one here."""

from __future__ import annotations

from typing import Final, NamedTuple


class Library(NamedTuple):
    """One module to hook when it is imported."""

    hooks: str
    """poolscope's module with its hook points, ``points(module)``."""
    tested: tuple[str, str] | None = None
    """From the first version to the last series that the tests run with; None for a mere part of a client."""
    packages: tuple[str, ...] = ()
    """Packages, besides its own, with lines that are never the program's."""


LIBRARIES: Final[dict[str, Library]] = {
    "httpcore": Library("poolscope.libraries.httpcore", ("1.0", "1.0")),
    "httpcore2": Library("poolscope.libraries.httpcore", ("2.0", "2")),
    "httpx": Library("poolscope.libraries.httpx", ("0.25", "0.28")),
    "httpx2": Library("poolscope.libraries.httpx", ("2.0", "2")),
    "urllib3": Library("poolscope.libraries.urllib3", ("1.26.15", "2")),
    "urllib3.contrib.socks": Library("poolscope.libraries.urllib3"),
    "requests": Library("poolscope.libraries.requests", ("2.31", "2")),
    "aiohttp": Library("poolscope.libraries.aiohttp", ("3.10", "3.14"), ("aiohappyeyeballs",)),
    "anyio._core._sockets": Library("poolscope.libraries.resolver"),
    "anyio._backends._asyncio": Library("poolscope.libraries.resolver"),
    "anyio.to_thread": Library("poolscope.libraries.handed_over"),
    "trio": Library("poolscope.libraries.resolver"),
    "ssl": Library("poolscope.libraries.tls"),
    "asyncio": Library("poolscope.libraries.handed_over"),
    "concurrent.futures.thread": Library("poolscope.libraries.handed_over"),
    "multiprocessing.pool": Library("poolscope.libraries.handed_over"),
}
"""Keyed by the name that a program imports."""


def is_of_a_client(package: str) -> bool:
    """Whether ``package`` is, or belongs to, an observed HTTP client: its lines are not the program's."""
    known = LIBRARIES.get(package)
    return (known is not None and known.tested is not None) or any(
        package in library.packages for library in LIBRARIES.values()
    )
