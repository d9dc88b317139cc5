"""Connections closed by the garbage collector while OpenTelemetry holds its own locks: nothing may hang.

A close hook that records a metric deadlocks within seconds here, because the SDK's locks are not
re-entrant and a collection may run while they are held.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

PROGRAM = r"""
import faulthandler, gc, importlib, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
import poolscope

faulthandler.dump_traceback_later(50, exit=True)
library, threshold = sys.argv[1], int(sys.argv[2])

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
poolscope.instrument(meter_provider=provider, tracer_provider=TracerProvider())
module = importlib.import_module(library)
done = threading.Event()

def collect():
    while not done.is_set():
        reader.get_metrics_data()
        done.wait(0.005)

def create():
    number = 0
    meter = provider.get_meter("other")
    while not done.is_set():
        number += 1
        meter.create_histogram(f"h{number % 50}").record(1)
        done.wait(0.005)

def leak(count):
    for _ in range(count):
        client = module.Session() if library == "requests" else module.Client(trust_env=False)
        client.get(url)
        cycle = [client]
        cycle.append(cycle)  # nobody closes it; only a collection finds it

gc.set_threshold(threshold, 5, 5)
helpers = [threading.Thread(target=each) for each in (collect, create)]
workers = [threading.Thread(target=leak, args=(15,)) for _ in range(4)]
for thread in helpers + workers:
    thread.start()
for thread in workers:
    thread.join()
done.set()
for thread in helpers:
    thread.join()
gc.set_threshold(700)

def count():
    counts = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    value = getattr(point, "count", getattr(point, "value", 0))
                    counts[metric.name] = counts.get(metric.name, 0) + value
    return counts

for _ in range(500):
    gc.collect()
    counts = count()
    if counts["poolscope.connections.closed"] >= 60:
        break
    done.clear()
    done.wait(0.01)  # a thread of the server collects, and may have closed only some: until then gc.collect() does nothing
assert counts["poolscope.connections.opened"] == 60, counts
assert counts["poolscope.connections.closed"] == 60, counts
assert counts["http.client.request.duration"] == 60, counts
poolscope.uninstrument()
"""


@pytest.mark.parametrize("threshold", [5, 20, 50, 200, 700])
@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_collections_close_connections_at_any_moment(library: str, threshold: int) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::ResourceWarning", "-c", PROGRAM, library, str(threshold)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
