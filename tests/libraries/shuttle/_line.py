"""A line: one socket with a buffered reader. It is connected by being made."""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import NamedTuple


class ShuttleError(Exception):
    """Whatever shuttle raises."""


class Broken(ShuttleError):
    """The line broke, or what came over it made no sense."""


class Late(ShuttleError):
    """It took too long."""


class Station(NamedTuple):
    secure: bool
    host: str
    port: int


def dial(station: Station, patience: float) -> socket.socket:
    """The first of its addresses that answers."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(
        station.host, station.port, 0, socket.SOCK_STREAM
    ):
        plug = socket.socket(family, kind, protocol)
        plug.settimeout(patience)
        try:
            plug.connect(address)
            return plug
        except OSError as error:
            plug.close()
            failure = error
    raise failure or OSError(f"no address of {station.host}")


class Line:
    """It knows its station, and since when nobody has used it."""

    def __init__(self, station: Station, patience: float, trust: ssl.SSLContext | None) -> None:
        self.station = station
        self.since = time.monotonic()
        try:
            self.plug = dial(station, patience)
            if station.secure:
                context = trust or ssl.create_default_context()
                self.plug = context.wrap_socket(self.plug, server_hostname=station.host)
        except TimeoutError as error:
            raise Late from error
        except OSError as error:
            raise Broken from error
        self.reader = self.plug.makefile("rb")
        self.dead = False

    def is_fresh(self, expiry: float) -> bool:
        silent = not select.select([self.plug], [], [], 0)[0]
        return silent and time.monotonic() - self.since < expiry

    def put(self, data: bytes) -> None:
        try:
            self.plug.sendall(data)
        except TimeoutError as error:
            raise Late from error
        except OSError as error:
            raise Broken from error

    def take(self, count: int | None = None) -> bytes:
        """So many bytes, or a line of text."""
        try:
            data = self.reader.readline(65536) if count is None else self.reader.read1(count)
        except TimeoutError as error:
            raise Late from error
        except OSError as error:
            raise Broken from error
        if not data:
            raise Broken("the other side hung up")
        return data

    def cut(self) -> None:
        """No more."""
        if not self.dead:
            self.dead = True
            self.reader.close()
            self.plug.close()
