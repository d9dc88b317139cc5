"""A program with known numbers: the same requests again and again, with its metrics kept after each round.

python -m tests.stack.known_load FOLDER     writes FOLDER/round-NN.pb (OTLP) and FOLDER/truth.json

Each round is what a program does between two exports. The test that reads the files decides how far apart they
are, so an hour of exports takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import requests
import trustme
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import poolscope
from poolscope.facts import BEGUN, HookFailure
from poolscope.queue import FACTS
from poolscope.story.live import LIVE
from stack.running import free_port

ROUNDS = 14
REST = 0.05
"""Seconds between two requests on the kept connection."""
HANDSHAKE = 0.3
ANSWER = 0.3
"""The TLS server's delay for every request."""
TURN = 0.15
"""The delay of a request on the connection that three share."""
PATIENCE = 0.02
"""Seconds that a request waits for a full pool."""
MOST = 102
"""How many connections the three living clients may open: 100 by default, and twice 1."""
LOST = 3


class Server(ThreadingHTTPServer):
    """Counts what reaches it, and answers after the delay that the request asks for."""

    daemon_threads = True

    def __init__(self, takes: float = 0.0, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.takes = takes
        self.context = context
        self.requests = self.connections = 0
        self.rest = 0.0
        """Seconds between an answer and the next request on the same connection, summed."""
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context:
            time.sleep(HANDSHAKE)
            request = self.context.wrap_socket(request, server_side=True)
        with self.lock:
            self.connections += 1
        try:
            super().finish_request(request, client_address)
        finally:
            request.close()

    @property
    def url(self) -> str:
        return (
            f"https://localhost:{self.server_port}"
            if self.context
            else f"http://127.0.0.1:{self.server_port}"
        )

    @property
    def seen(self) -> dict[str, float]:
        return {"requests": self.requests, "connections": self.connections, "rest": self.rest}


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] - BaseServer says less
    disable_nagle_algorithm = True
    answered_at: float | None = None

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.requests += 1
            if self.answered_at is not None:
                self.server.rest += time.monotonic() - self.answered_at
        self.server.gate.wait()
        time.sleep(self.server.takes)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
        self.answered_at = time.monotonic()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests are counted."""


def at_once(*calls: Callable[[], object]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass
class Program:
    """The clients, and one way of using each of them; the servers count the results."""

    servers: dict[str, Server] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)
    """Seconds that the slowest call took, by server: a busy machine may stop in any of them."""
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds in all calls of this round."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.trusted = ssl.create_default_context()
        authority.configure_trust(self.trusted)
        self.servers = {
            "kept": Server(),
            "thrown away": Server(ANSWER, context),
            "shared": Server(TURN),
            "two each": Server(),
            "held": Server(),
        }
        self.nobody = free_port()
        self.kept = httpx.Client()
        self.shared = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=30)
        self.held = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=600)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        with self.lock:
            self.longest[name] = max(self.longest.get(name, 0.0), took)
            self.spent[name] = self.spent.get(name, 0.0) + took

    def keep(self) -> None:
        """One client, one connection, eight requests, with a pause before each."""
        for _ in range(8):
            time.sleep(REST)
            with self.timed("kept"):
                self.kept.get(self.servers["kept"].url)

    def throw_away(self) -> None:
        """A client for one request: the habit."""
        with self.timed("thrown away"), httpx.Client(verify=self.trusted) as client:
            client.get(self.servers["thrown away"].url)

    def share(self) -> None:
        """A third of a connection."""
        with self.timed("shared"):
            self.shared.get(self.servers["shared"].url)

    def let_the_others_queue(self) -> None:
        """The first of three that share is answered when the others wait."""
        server = self.servers["shared"]
        while self.waiting_for(server) < 2:
            time.sleep(0.001)
        server.gate.set()

    def waiting_for(self, server: Server) -> int:
        exchanges = list(LIVE.exchanges.values())
        return sum(x.origin[2] == server.server_port and x.connection is None for x in exchanges)

    def twice(self) -> None:
        """A session for two requests."""
        with self.timed("two each"), requests.Session() as session:
            for _ in range(2):
                session.get(self.servers["two each"].url)

    def refused(self) -> None:
        """Two requests to a port where nothing listens."""
        for _ in range(2):
            with self.timed("nobody"), contextlib.suppress(requests.ConnectionError):
                requests.get(f"http://127.0.0.1:{self.nobody}")

    def impatient(self) -> None:
        """Given up soon: the pool's only connection is in use for the whole run."""
        with self.timed("held"), contextlib.suppress(httpx.PoolTimeout):
            self.held.get(self.servers["held"].url, timeout=httpx.Timeout(600, pool=PATIENCE))

    def round(self) -> None:
        self.spent.clear()
        self.servers["shared"].gate.clear()
        sharing = (*[self.share] * 3, self.let_the_others_queue)
        at_once(self.keep, *[self.throw_away] * 5, *sharing, self.twice, self.refused, self.impatient)

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """In this block, one request has a pool's only connection, and two wait for it."""
        server = self.servers["held"]
        server.gate.clear()
        ask = threading.Thread(target=self.held.get, args=(server.url,))
        ask.start()
        while not server.requests:
            time.sleep(0.01)
        waiting = [threading.Thread(target=self.held.get, args=(server.url,)) for _ in range(2)]
        self.waiting_since = time.monotonic()
        for thread in waiting:
            thread.start()
        while self.waiting_for(server) < 2:
            time.sleep(0.001)
        self.both_wait_since = time.monotonic()
        yield
        server.gate.set()
        for thread in (ask, *waiting):
            thread.join()


def main() -> None:
    folder = Path(sys.argv[1])
    reader, events = InMemoryMetricReader(), InMemoryLogRecordExporter()
    metering, logging = MeterProvider(metric_readers=[reader]), LoggerProvider()
    logging.add_log_record_processor(SimpleLogRecordProcessor(events))
    poolscope.instrument(meter_provider=metering, logger_provider=logging)
    program = Program()
    seen, oldest = [], []
    most_spent: dict[str, float] = {}
    with program.holding():
        for number in range(ROUNDS):
            program.round()
            if number == 0:
                # Reported once, as a failing hook and a full queue report it.
                FACTS.put(BEGUN, HookFailure("test.hook", "ValueError", True))
                capacity, FACTS.capacity = FACTS.capacity, 0
                for _ in range(LOST):
                    FACTS.put(BEGUN, HookFailure("test.hook", "ValueError", False))
                FACTS.capacity = capacity
            most_spent = {
                name: max(spent, most_spent.get(name, 0.0)) for name, spent in program.spent.items()
            }
            at_least = time.monotonic() - program.both_wait_since
            measured: Any = reader.get_metrics_data()
            oldest.append((at_least, time.monotonic() - program.waiting_since))
            written = encode_metrics(measured).SerializeToString()
            (folder / f"round-{number:02}.pb").write_bytes(written)
            seen.append({name: server.seen for name, server in program.servers.items()})
    records: list[Any] = [each.log_record for each in events.get_finished_logs()]
    lines = Counter(
        (record.attributes["poolscope.finding.code"], record.attributes["code.line.number"])
        for record in records
        if record.event_name == "poolscope.finding"
    )
    truth = {
        "ports": {name: server.server_port for name, server in program.servers.items()},
        "nobody": program.nobody,
        "seen": seen,
        "oldest": oldest,
        "longest": program.longest,
        "spent": most_spent,
        "findings": Counter(code for code, _ in lines),
    }
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    poolscope.uninstrument()


if __name__ == "__main__":
    main()
