"""A depot: what a program builds. It lends so many lines at a time, and keeps some of those that come home."""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

from shuttle._line import Broken, Late, Line, Station
from shuttle._parcel import Parcel


class Depot:
    """Who wants a line while all are lent waits for one."""

    def __init__(
        self, lines: int = 10, spare: int = 10, expiry: float = 60.0, trust: ssl.SSLContext | None = None
    ) -> None:
        self.lines, self.spare, self.expiry, self.trust = lines, spare, expiry, trust
        self.at_home: deque[Line] = deque()
        self.lent = 0
        self.turn = threading.Condition()

    def fetch(
        self, url: str, *, labels: Mapping[str, str] = {}, load: bytes | None = None, patience: float = 10.0
    ) -> Parcel:
        """A redirect is followed, with what was loaded left behind."""
        while True:
            parcel = self.order(url, dict(labels), load, patience)
            if parcel.status not in (301, 302, 303, 307) or "location" not in parcel.labels:
                return parcel
            parcel.unpack()
            url, load = urljoin(url, parcel.labels["location"]), None

    def order(self, url: str, labels: dict[str, str], load: bytes | None, patience: float) -> Parcel:
        """One request; a spare line that turns out to be dead is replaced, once."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        station = Station(secure, parts.hostname or "", parts.port or (443 if secure else 80))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = [f"{'GET' if load is None else 'POST'} {path} HTTP/1.1", f"Host: {parts.netloc}"]
        if load is not None:
            head.append(f"Content-Length: {len(load)}")
        head += [f"{name}: {value}" for name, value in labels.items()]
        message = "\r\n".join([*head, "", ""]).encode() + (load or b"")
        line, spare = self.lend(station, patience)
        try:
            line.put(message)
            return Parcel(line, self.home)
        except BaseException as error:
            self.home(line, False)
            if not (spare and isinstance(error, Broken)):
                raise
        line = self.replaced(station, patience)
        try:
            line.put(message)
            return Parcel(line, self.home)
        except BaseException:
            self.home(line, False)
            raise

    def lend(self, station: Station, patience: float) -> tuple[Line, bool]:
        """A line to there, and whether it was a spare one."""
        old: list[Line] = []
        with self.turn:
            if not self.turn.wait_for(lambda: self.lent < self.lines, patience):
                raise Late("all lines are lent")
            self.lent += 1
            found = None
            for line in [line for line in self.at_home if line.station == station]:
                self.at_home.remove(line)
                if line.is_fresh(self.expiry):
                    found = line
                    break
                old.append(line)
        for line in old:
            line.cut()
        if found is not None:
            found.plug.settimeout(patience)
            return found, True
        try:
            return Line(station, patience, self.trust), False
        except BaseException:
            self.missed()
            raise

    def replaced(self, station: Station, patience: float) -> Line:
        with self.turn:
            self.lent += 1
        try:
            return Line(station, patience, self.trust)
        except BaseException:
            self.missed()
            raise

    def missed(self) -> None:
        with self.turn:
            self.lent -= 1
            self.turn.notify()

    def home(self, line: Line, lasts: bool) -> None:
        line.since = time.monotonic()
        with self.turn:
            self.lent -= 1
            self.turn.notify()
            keep = lasts and len(self.at_home) < self.spare
            if keep:
                self.at_home.append(line)
        if not keep:
            line.cut()

    def shut(self) -> None:
        with self.turn:
            lines, self.at_home = self.at_home, deque()
        for line in lines:
            line.cut()

    def __enter__(self) -> Depot:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()


def fetch(url: str, **options: object) -> bytes:
    """One parcel from a depot of its own."""
    with Depot() as depot:
        return depot.fetch(url, **options).unpack()  # type: ignore[arg-type]
