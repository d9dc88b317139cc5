"""A server with one fixed answer, in its own process, so that only the client's CPU is measured.

    python -m bench.server [ADDRESS [CERTIFICATE]]

With a certificate (a PEM file with its key) it speaks TLS.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class FixedAnswer(asyncio.Protocol):
    """Answers every GET on a kept-alive connection with the same bytes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the client's connection."""
        self._transport = transport
        self._waiting = b""

    def data_received(self, data: bytes) -> None:
        """Count the ends of request heads; the requests have no bodies."""
        received = self._waiting + data
        requests = received.count(b"\r\n\r\n")
        self._waiting = received[received.rfind(b"\r\n\r\n") + 4 :] if requests else received
        if requests:
            self._transport.write(ANSWER * requests)  # type: ignore[attr-defined]


def tls_of(certificate: str) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def serve(address: str = "127.0.0.1", certificate: str | None = None) -> None:
    """Serve on a free port of ``address``, printed first, until standard input is closed."""
    loop = asyncio.get_running_loop()
    tls = None if certificate is None else tls_of(certificate)
    server = await loop.create_server(FixedAnswer, address, 0, ssl=tls, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
