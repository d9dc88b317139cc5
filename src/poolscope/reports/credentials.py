"""Whether the clients of one line differ only by their credentials, which are known here only as numbers."""

from __future__ import annotations

from typing import Final

from poolscope.records import Client

MIN_CLIENTS: Final = 3
MOST: Final = 10_000
"""Different clients of one line; if there are more, nothing is reported."""


class Credentials:
    """Feed it the last record of each client; `words` says what they have in common."""

    __slots__ = ("_apart", "_clients", "_mixed", "_settings")

    def __init__(self) -> None:
        self._clients = 0
        self._apart: int | None = None
        self._mixed = False
        self._settings: set[tuple[int, int | None]] = set()

    def __repr__(self) -> str:
        return f"<Credentials of {self._clients} clients: {self.words() or 'nothing to say'}>"

    def add(self, client: Client) -> None:
        """A client is over."""
        apart = client.apart_from_credentials
        self._clients += 1
        self._mixed = self._mixed or apart is None or self._apart not in (None, apart)
        self._apart = apart
        if not self._mixed and len(self._settings) <= MOST:
            self._settings.add((client.pid, client.settings))

    def words(self) -> str:
        """``12, one per credential``; empty where they differ otherwise, or not at all."""
        different = len(self._settings)
        if self._mixed or self._clients < MIN_CLIENTS or not 1 < different <= MOST:
            return ""
        if different == self._clients:
            return f"{self._clients:,}, one per credential"
        return f"{self._clients:,} for {different:,} credentials"
