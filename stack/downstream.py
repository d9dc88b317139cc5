"""The server that both services call. It counts what it really saw: the truth that the dashboards are compared with.

GET /<caller>/<anything>?bytes=N&wait=SECONDS answers N bytes after a pause. Serves HTTP on --port and TLS
on --tls-port with a self-made certificate (the CA is written to --certs). A third port answers
with the counts, so that reading them is not counted.
"""

import argparse
import json
import os
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

LARGEST = 1 << 20
LONGEST_WAIT = 5.0


@dataclass
class Counts:
    """What was seen, by caller: the first part of the path of a connection's first request."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    accepted: int = 0
    connections: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    reused: Counter[str] = field(default_factory=Counter)

    def count(self, caller: str, first: bool) -> None:
        with self.lock:
            self.requests[caller] += 1
            (self.connections if first else self.reused)[caller] += 1

    def as_json(self) -> bytes:
        with self.lock:
            seen = {"connections": self.connections, "requests": self.requests, "reused": self.reused}
            return json.dumps({"accepted": self.accepted, **seen}).encode()


class Downstream(ThreadingHTTPServer):
    """Accepts, counts, answers; with a TLS context it does the handshake first."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], counts: Counts, context: ssl.SSLContext | None) -> None:
        super().__init__(address, Answer)
        self.counts = counts
        self.context = context

    def get_request(self) -> tuple[socket.socket, Any]:
        accepted, peer = super().get_request()
        with self.counts.lock:
            self.counts.accepted += 1
        return accepted, peer

    def finish_request(self, request: Any, client_address: Any) -> None:
        # The handshake runs in the connection's own thread: a slow client must not hold up the others.
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The sick service disconnects in the middle on purpose."""


class Answer(BaseHTTPRequestHandler):
    """Serves one connection, request after request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Longer than any client here keeps a connection idle: the clients close first.
    timeout = 120
    served = 0

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Downstream)
        url = urlsplit(self.path)
        asked = parse_qs(url.query)
        server.counts.count(url.path.split("/")[1], first=self.served == 0)
        self.served += 1
        time.sleep(min(float(asked.get("wait", ["0.005"])[0]), LONGEST_WAIT))
        body = b"x" * min(int(asked.get("bytes", ["200"])[0]), LARGEST)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the counts are the log."""


class Control(BaseHTTPRequestHandler):
    """Answers any GET with the counts."""

    counts = Counts()

    def do_GET(self) -> None:
        body = self.counts.as_json()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    log_message = Answer.log_message


def certificate(folder: Path, names: list[str]) -> ssl.SSLContext:
    """A server context for these names; its CA is written to `folder`/ca.pem for the clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own, public = folder / "server.pem", folder / "ca.pem"
    if own.exists() and public.exists():
        # After a restart, clients that have read the CA must not have to read another.
        context.load_cert_chain(own)
        return context
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    issued.configure_cert(context)
    folder.mkdir(parents=True, exist_ok=True)
    issued.private_key_and_cert_chain_pem.write_to_path(str(own))
    # Renamed into place: a waiting service must never read half a file.
    unfinished = folder / "ca.pem.part"
    authority.cert_pem.write_to_path(str(unfinished))
    os.replace(unfinished, public)
    return context


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `None` is this process's own."""
    parser = argparse.ArgumentParser(
        prog="python -m stack.downstream", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--tls-port", type=int, default=8943)
    parser.add_argument("--control-port", type=int, default=8901)
    parser.add_argument("--certs", type=Path, required=True, help="where ca.pem is written")
    parser.add_argument("--name", action="append", default=[], help="a further name for the certificate")
    return parser.parse_args(arguments)


def main() -> None:
    options = options_of()
    counts = Control.counts
    context = certificate(options.certs, ["localhost", "127.0.0.1", *options.name])
    servers = [
        Downstream((options.host, options.port), counts, None),
        Downstream((options.host, options.tls_port), counts, context),
        ThreadingHTTPServer((options.host, options.control_port), Control),
    ]
    threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    print("downstream ready", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
