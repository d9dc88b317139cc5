"""A plain keep-alive server with cacheable answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.register_assert_rewrite("tests.compat.alike")  # so that a failure shows the difference

BUCKETS = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListAllMyBucketsResult><Owner><ID>me</ID></Owner>
<Buckets><Bucket><Name>pail</Name><CreationDate>2026-01-01T00:00:00Z</CreationDate></Bucket></Buckets>
</ListAllMyBucketsResult>"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/cached":
            self.answer(b"kept", Cache_Control="max-age=60", ETag='"1"')
        elif path == "/redirect":
            self.answer(b"", 302, Location="/plain")
        elif path == "/missing":
            self.answer(b"no", 404)
        elif path == "/" and "amz-sdk-invocation-id" in self.headers:
            self.answer(BUCKETS, Content_Type="application/xml")
        else:
            self.answer(b"plain", Content_Type="text/plain")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(b"%d bytes" % len(body))

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(b"", ETag='"put"')

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.accepts = 0
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self):
        self.accepts += 1
        return super().get_request()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join(10)


@pytest.fixture
def no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """``name.invalid`` is unknown, without a question to any name server."""
    known = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        if host in ("name.invalid", b"name.invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return known(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
