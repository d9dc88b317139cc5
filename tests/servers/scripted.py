"""A server that sends exactly the bytes a test wants: one function plays all accepted connections, in order.

The function runs in its own thread and gets a `Scripted` to accept from. Test and script wait for each other
by events, never by delays. After urllib3's socket-level tests:
https://github.com/urllib3/urllib3/blob/main/test/with_dummyserver/test_socketlevel.py
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from tests.servers.log import SeenConnection, ServerLog

PATIENCE = 15.0
"""Seconds until a script stops waiting for a client, or a test for its script."""


class Peer:
    """One accepted connection, as the script sees it."""

    def __init__(self, sock: socket.socket, seen: SeenConnection) -> None:
        self.sock = sock
        self.seen = seen

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read_head(self) -> bytes:
        """The next request's head, logged; ConnectionError if the client closes before its end."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.sock.recv(1)
            if not byte:
                raise ConnectionError("the client closed")
            head += byte
        method, target, _ = head.decode("latin-1").split(" ", 2)
        self.seen.request(method, target)
        return head

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, body: bytes = b"ok", status: str = "200 OK", *headers: str) -> None:
        """A whole answer that keeps the connection open."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(lines).encode() + body)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """The server's side of the handshake, when the script wants it."""
        self.sock = context.wrap_socket(self.sock, server_side=True)

    def half_close(self) -> None:
        """Send a FIN and keep reading."""
        self.seen.end("server")
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.seen.end("server")
        self.sock.close()

    def reset(self) -> None:
        """End it with a RST."""
        self.seen.end("server")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_close(self) -> None:
        """Discard what arrives until the client closes or resets."""
        try:
            while self.sock.recv(65536):
                pass
        except OSError:
            pass
        self.seen.end("client")


class Scripted:
    """A listening socket, the log of what came, and the events by which test and script wait for each other."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE)
        self.port: int = self.listener.getsockname()[1]
        self.log = ServerLog()
        self.reached = threading.Event()
        """Set by the script, awaited by the test."""
        self.go = threading.Event()
        """Set by the test, awaited by the script."""

    def url(self, path: str = "/", scheme: str = "http") -> str:
        host = "localhost" if scheme == "https" else "127.0.0.1"
        return f"{scheme}://{host}:{self.port}{path}"

    def accept(self) -> Peer:
        """The next connection."""
        sock, (_, peer_port) = self.listener.accept()
        sock.settimeout(PATIENCE)
        return Peer(sock, self.log.accept(peer_port))

    def wait_for_test(self) -> None:
        """For the script: announce that this point is reached, and wait until the test lets it continue."""
        self.reached.set()
        assert self.go.wait(PATIENCE), "the test never let the script continue"

    def wait_for_script(self) -> None:
        """For the test: wait until the script calls `wait_for_test` or sets `reached`."""
        assert self.reached.wait(PATIENCE), "the script never got this far"


@contextmanager
def scripted(script: Callable[[Scripted], None]) -> Iterator[Scripted]:
    """Run ``script`` beside the block; what it raises is raised at the end of the block."""
    server = Scripted()
    failures: list[BaseException] = []

    def play() -> None:
        try:
            script(server)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=play, name="scripted server", daemon=True)
    thread.start()
    try:
        yield server
    except BaseException:
        server.listener.shutdown(socket.SHUT_RDWR)  # wakes a script that still waits for a client
        raise
    finally:
        server.go.set()
        thread.join(PATIENCE)
        server.listener.close()
    if failures:
        raise failures[0]
