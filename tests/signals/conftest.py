"""A real SDK, real loopback servers, and an OpenTelemetry context that is restored afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.signals.telemetry import Telemetry


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


class Seen:
    """A server that keeps the headers it got, each with all its values; the last part of the path may be a status."""

    def __init__(self, server: ThreadingHTTPServer, headers: list[dict[str, str]]) -> None:
        self.port: int = server.server_address[1]
        self.headers = headers

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def traceparents(self) -> list[str | None]:
        return [headers.get("traceparent") for headers in self.headers]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # some tests are about clients that disconnect early


@pytest.fixture
def server() -> Iterator[Seen]:
    headers: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 10

        def do_GET(self) -> None:
            got = self.headers
            headers.append({name.lower(): ", ".join(got.get_all(name) or ()) for name in got})
            last = self.path.partition("?")[0].rpartition("/")[2]
            if last == "redirect":
                self.send_response(302)
                self.send_header("location", "/")
            else:
                self.send_response(int(last) if last.isdigit() else 200)
            body = b"" if last in ("204", "304") else b"answer"
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Seen(httpd, headers)
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
