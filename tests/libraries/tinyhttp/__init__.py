"""A small HTTP client that poolscope does not know: a client, its pool, connections and answers over plain sockets."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from urllib.parse import urljoin, urlsplit

__all__ = ["Client", "TinyError"]


class TinyError(Exception):
    """What went wrong is its cause."""


class Client:
    """What a program builds; it follows redirects."""

    def __init__(self, keep: int = 10, timeout: float = 10.0) -> None:
        self.pool = Pool(keep, timeout)

    def get(self, url: str, headers: dict[str, str] | None = None, timeout: float | None = None) -> Answer:
        answer = self.pool.ask("GET", url, headers or {}, timeout)
        while answer.status in (301, 302):
            answer.read()
            url = urljoin(url, answer.headers["Location"])
            answer = self.pool.ask("GET", url, headers or {}, timeout)
        return answer

    def close(self) -> None:
        self.pool.close()


class Pool:
    """Connections by origin; it keeps so many idle ones of each."""

    def __init__(self, keep: int, timeout: float) -> None:
        self.keep = keep
        self.timeout = timeout
        self.lock = threading.Lock()
        self.idle: dict[tuple[str, int], list[Connection]] = {}

    def ask(self, method: str, url: str, headers: dict[str, str], timeout: float | None) -> Answer:
        parts = urlsplit(url)
        connection = self.take((parts.hostname or "", parts.port or 80), timeout or self.timeout)
        try:
            connection.send(method, parts.path or "/", headers)
            return connection.receive()
        except BaseException:
            connection.close()
            raise

    def take(self, origin: tuple[str, int], timeout: float) -> Connection:
        with self.lock:
            idle = self.idle.get(origin, [])
            connection = idle.pop() if idle else None
        while connection is not None:
            if not connection.is_dropped():
                connection.socket.settimeout(timeout)
                return connection
            connection.close()
            with self.lock:
                connection = idle.pop() if idle else None
        connection = Connection(self, origin)
        connection.connect(timeout)
        return connection

    def give_back(self, connection: Connection) -> None:
        with self.lock:
            idle = self.idle.setdefault(connection.origin, [])
            if len(idle) < self.keep:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self.lock:
            idle, self.idle = self.idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()


class Connection:
    """One socket."""

    def __init__(self, pool: Pool, origin: tuple[str, int]) -> None:
        self.pool = pool
        self.origin = origin
        self.socket: socket.socket

    def connect(self, timeout: float) -> None:
        try:
            self.socket = socket.create_connection(self.origin, timeout)
        except OSError as error:
            raise TinyError from error

    def is_dropped(self) -> bool:
        return bool(select.select([self.socket], [], [], 0)[0])

    def send(self, method: str, path: str, headers: dict[str, str]) -> None:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.origin[0]}:{self.origin[1]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        except OSError as error:
            raise TinyError from error

    def receive(self) -> Answer:
        parsed = http.client.HTTPResponse(self.socket)
        try:
            parsed.begin()
        except (OSError, http.client.HTTPException) as error:
            parsed.close()
            raise TinyError from error
        return Answer(self, parsed)

    def close(self) -> None:
        self.socket.close()


class Answer:
    """Its body is read, or it is closed, which costs the connection."""

    def __init__(self, connection: Connection, parsed: http.client.HTTPResponse) -> None:
        self.connection: Connection | None = connection
        self.parsed = parsed
        self.status = parsed.status
        self.headers = parsed.headers

    def read(self) -> bytes:
        try:
            body = self.parsed.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TinyError from error
        self._over()
        return body

    def close(self) -> None:
        connection, self.connection = self.connection, None
        self.parsed.close()
        if connection is not None:
            connection.close()

    def _over(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None and self.parsed.will_close:
            connection.close()
        elif connection is not None:
            connection.pool.give_back(connection)
