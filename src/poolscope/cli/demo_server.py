"""The server of ``poolscope demo``: small, in a process of its own, with a delay where a server can have one.

``python -m poolscope.cli.demo_server SECONDS [CERTIFICATE KEY]`` prints its ports, serves until its
stdin ends, and prints how many connections it accepted and how many requests it served.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
import time
from typing import IO, Final

BODY: Final = b'{"status": "ok"}\n'
LARGE: Final = b"x" * 2_000_000
SLOW: Final = 0.02


class Server:
    """Answers every request on one port."""

    def __init__(self, delay: float, context: ssl.SSLContext | None = None) -> None:
        self._delay = delay
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self._counting = threading.Lock()
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.served = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __repr__(self) -> str:
        return f"<Server on {self.port}: {self.accepted} connections, {self.served} requests>"

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.accepted += 1
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._context is not None:
                time.sleep(self._delay)
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                while (path := _read_request(lines)) is not None:
                    if not self._answer(connection, path):
                        return
        except OSError:  # some examples are about clients that disconnect
            return

    def _answer(self, connection: socket.socket, path: str) -> bool:
        with self._counting:
            self.served += 1
        time.sleep(self._delay + (SLOW if path.endswith("/slow") else 0.0))
        body = LARGE if path.endswith("/large") else BODY
        closing = path.endswith("/closing")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        head += "Connection: close\r\n\r\n" if closing else "\r\n"
        connection.sendall(head.encode() + body)
        return not closing


def _read_request(lines: IO[bytes]) -> str | None:
    """The path of the next request; None at the end of the connection."""
    first = lines.readline()
    if not first:
        return None
    while lines.readline() not in (b"\r\n", b""):
        pass
    return str(first.split()[1].decode().partition("?")[0])


def main() -> None:
    """Serve http, and https if there is a certificate."""
    delay = float(sys.argv[1])
    servers = {"http": Server(delay)}
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        servers["https"] = Server(delay, context)
    print(json.dumps({scheme: server.port for scheme, server in servers.items()}), flush=True)
    for _ in sys.stdin:  # every line asks for the counts so far
        print(json.dumps({s: [server.accepted, server.served] for s, server in servers.items()}), flush=True)


if __name__ == "__main__":
    main()
