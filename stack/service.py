"""A service that calls the downstream well, or badly in three ways that occur in real programs.

python -m stack.service --name checkout --habit healthy     one shared client, bodies read, a pool that is large enough
python -m stack.service --name billing --habit sick         a client per request, a pool that is too small, unread bodies
"""

import argparse
import contextlib
import contextvars
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import requests
from opentelemetry import trace
from requests.adapters import HTTPAdapter

from stack import telemetry
from stack.running import interval

Way = Callable[[], None]
THREADS = 8
"""How many requests a service handles at once: the load generator sends no more."""
WIDTH = 3
"""Parts of an answer, requested at once."""
PARTS = ThreadPoolExecutor(THREADS * WIDTH, thread_name_prefix="part")


def at_once(ask: Callable[[], object]) -> None:
    """Request all parts of an answer at once, within the current trace."""
    asked = [PARTS.submit(contextvars.copy_context().run, ask) for _ in range(WIDTH)]
    for each in asked:
        each.result()


def healthy(plain: str, secure: str, authority: str) -> dict[str, Way]:
    """Every client is built once, shared, and large enough for all requests of the service."""
    client = httpx.Client(verify=authority, limits=httpx.Limits(max_keepalive_connections=THREADS))
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=THREADS * WIDTH))

    def with_httpx() -> None:
        client.get(f"{secure}/order").raise_for_status()

    def with_requests() -> None:
        at_once(lambda: session.get(f"{plain}/stock?wait=0.02", timeout=10).raise_for_status())

    return {"order": with_httpx, "stock": with_requests}


def sick(plain: str, secure: str, authority: str) -> dict[str, Way]:
    """Three habits that open a connection per request, and an address where nothing listens."""
    small = requests.Session()
    small.mount("http://", HTTPAdapter(pool_maxsize=1))
    wide = requests.Session()
    narrow = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=10)

    def client_per_request() -> None:
        with httpx.Client(verify=authority) as client:
            client.get(f"{secure}/order").raise_for_status()

    def session_per_request() -> None:
        requests.get(f"{plain}/price", timeout=10).raise_for_status()

    def pool_too_small() -> None:
        at_once(lambda: small.get(f"{plain}/stock?wait=0.02", timeout=10).raise_for_status())

    def one_connection_for_all() -> None:
        at_once(lambda: narrow.get(f"{plain}/stock?wait=0.02").raise_for_status())

    def unread_body() -> None:
        response = wide.get(f"{plain}/report?bytes=100000", stream=True, timeout=10)
        response.raise_for_status()
        response.close()

    def nobody_there() -> None:
        with contextlib.suppress(requests.ConnectionError):
            requests.get("http://127.0.0.1:1/", timeout=10)

    ways = (
        client_per_request,
        session_per_request,
        pool_too_small,
        one_connection_for_all,
        unread_body,
        nobody_there,
    )
    return {way.__name__.replace("_", "-"): way for way in ways}


HABITS = {"healthy": healthy, "sick": sick}


class Front(BaseHTTPRequestHandler):
    """GET /<way> does it once, inside a SERVER span, and reports how long that took."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    ways: dict[str, Way]

    def do_GET(self) -> None:
        way = self.path.strip("/")
        if way == "":
            self._answer(200, " ".join(self.ways))
            return
        if way not in self.ways:
            self._answer(404, f"no such way: {way}")
            return
        tracer = trace.get_tracer("stack.service")
        attributes = {"http.request.method": "GET", "url.path": self.path, "http.route": self.path}
        began = time.perf_counter()
        try:
            with tracer.start_as_current_span(
                f"GET {self.path}", kind=trace.SpanKind.SERVER, attributes=attributes
            ):
                self.ways[way]()
        except Exception as error:
            self._answer(502, type(error).__name__)
        else:
            self._answer(200, f"{time.perf_counter() - began:.6f}")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the spans are the log."""


class Server(ThreadingHTTPServer):
    """A thread per connection of the load generator."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def wait_for(path: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} did not appear within {seconds:.0f} s: is the downstream running?")
        time.sleep(0.1)


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `None` is this process's own."""
    parser = argparse.ArgumentParser(
        prog="python -m stack.service", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--name", required=True, help="service.name")
    parser.add_argument("--habit", choices=sorted(HABITS), required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--downstream", default="http://127.0.0.1:8900", help="its plain address")
    parser.add_argument("--downstream-tls", default="https://localhost:8943", help="its TLS address")
    parser.add_argument("--certs", type=Path, required=True, help="where the downstream wrote ca.pem")
    parser.add_argument("--otlp", default="http://127.0.0.1:4318", help="the Collector, OTLP over HTTP")
    parser.add_argument("--every", type=interval, default=5.0, help="seconds between two exports of metrics")
    return parser.parse_args(arguments)


def main() -> None:
    options = options_of()

    wait_for(options.certs / "ca.pem", 30)
    shut_down = telemetry.start(options.name, options.otlp, options.every)
    habits = HABITS[options.habit]
    authority = str(options.certs / "ca.pem")
    Front.ways = habits(
        f"{options.downstream}/{options.name}", f"{options.downstream_tls}/{options.name}", authority
    )
    server = Server((options.host, options.port), Front)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"{options.name} ready", flush=True)
    stopped.wait()
    server.shutdown()
    shut_down()
    print(f"{options.name} flushed", flush=True)


if __name__ == "__main__":
    main()
