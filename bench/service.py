"""What does observing cost in a service? CPU of its process per request, paired and interleaved in one run.

    python -m bench.service [--in-flight 8 20 50] [--minutes 8] [--requests 400]

FastAPI under uvicorn with one shared ``httpx.AsyncClient``: each request makes one to an upstream. Spans and metrics go
over OTLP/HTTP to a receiver on this machine, in the SDK's default batches, and a round ends when all of them are sent.
The service runs five times: with only its server instrumented, the same again, with the official package for httpx as well,
with poolscope instead of that, and with both. Each round asks every one of them in random order, and compares it with the
first. The second shows what the machine's noise alone does. There are as many rounds as fit into the minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from contextlib import ExitStack
from typing import Any

from bench.overhead import start
from bench.service_variants import SERVER_ONLY, VARIANTS

WARM_UP = 100
"""Requests of each service before the first round."""
FEWEST = 2
"""Rounds that are measured however long they take: fewer have no quartiles."""
PATIENCE = 120.0
"""Seconds the service waits for its upstream: on a busy machine httpx's own 5 would make errors of noise."""


def serve(variant: str, upstream: str, receiver: str) -> None:
    """The service in this process, on a free port that it prints first, until standard input is closed."""
    import socket

    import fastapi
    import httpx
    import uvicorn

    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver
    app = fastapi.FastAPI()
    flush = VARIANTS[variant](app)
    client = httpx.AsyncClient(trust_env=False, timeout=PATIENCE)

    @app.get("/orders")
    async def orders() -> str:
        return (await client.get(upstream)).text

    @app.get("/cpu")
    def cpu() -> float:
        flush()
        return time.process_time()

    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))

    def stop_with_input() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_with_input, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    server.run(sockets=[listening])


async def _ask(port: int, count: int) -> None:
    """``count`` requests, one after the other, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(b"GET /orders HTTP/1.1\r\nHost: service\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"the service answered {head!r}")
        await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
    writer.close()
    await writer.wait_closed()


async def _side_by_side(port: int, count: int, in_flight: int) -> None:
    await asyncio.gather(*(_ask(port, count // in_flight) for _ in range(in_flight)))


def _cpu(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/cpu", timeout=PATIENCE) as answer:
        return float(answer.read())


def taken(port: int, count: int, in_flight: int) -> float:
    """µs of the service's CPU for each of ``count`` requests, what they send included."""
    before = _cpu(port)
    asyncio.run(_side_by_side(port, count, in_flight))
    return (_cpu(port) - before) * 1e6 / (count // in_flight * in_flight)


def port_of(process: subprocess.Popen[str]) -> int:
    """The port that a service or server of ours prints first."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def measure(in_flight: int, until: float, count: int) -> dict[str, list[float]]:
    """µs per request above the service of which only the server is instrumented; under its name its own."""
    differences: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        urls = [f"http://127.0.0.1:{port_of(start(stack, 'bench.server'))}" for _ in ("upstream", "receiver")]
        services = {variant: start(stack, "bench.service", "--serve", variant, *urls) for variant in VARIANTS}
        ports = {variant: port_of(service) for variant, service in services.items()}
        for port in ports.values():
            taken(port, max(WARM_UP, in_flight), in_flight)
        while (done := len(differences[SERVER_ONLY])) < FEWEST or time.monotonic() < until:
            progress(in_flight, done + 1, until)
            measured = {
                each: taken(ports[each], count, in_flight) for each in random.sample([*ports], len(ports))
            }
            for variant, microseconds in measured.items():
                against = 0.0 if variant == SERVER_ONLY else measured[SERVER_ONLY]
                differences[variant].append(microseconds - against)
    return differences


def progress(in_flight: int, number: int, until: float) -> None:
    """One line that is overwritten, on standard error."""
    left = max(until - time.monotonic(), 0.0)
    print(
        f"\r{in_flight} in flight: round {number}, {left:.0f} s left  ", end="", file=sys.stderr, flush=True
    )


def rows(in_flight: int, differences: dict[str, list[float]]) -> list[str]:
    """Lines of the Markdown table: median difference, its quartiles, and its ratio to the official package's."""
    official = statistics.median(differences["official"])
    lines = []
    for variant in VARIANTS:
        values = differences[variant]
        low, median, high = statistics.quantiles(values, n=4)
        ratio = "–" if variant == SERVER_ONLY or official <= 0 else f"{median / official:.2f}"
        sign: Any = "" if variant == SERVER_ONLY else "+"
        lines.append(
            f"| {in_flight} | {variant} | {median:{sign}.0f} | {low:{sign}.0f} … {high:{sign}.0f} | {ratio} |"
        )
    return lines


def main() -> None:
    """Measure what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--in-flight", type=int, nargs="+", default=[8, 20, 50], help="default: 8 20 50")
    parser.add_argument("--minutes", type=float, default=8, help="in all (default: 8)")
    parser.add_argument("--requests", type=int, default=400, help="of each round (default: 400)")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    print("| in flight | variant | µs a request | quartiles | × official |\n|---:|---|---:|---:|---:|")
    began, share = time.monotonic(), options.minutes * 60 / len(options.in_flight)
    for number, in_flight in enumerate(options.in_flight, 1):
        differences = measure(in_flight, began + number * share, options.requests)
        print(f"\r{len(differences[SERVER_ONLY])} rounds".ljust(50), file=sys.stderr)
        print("\n".join(rows(in_flight, differences)), flush=True)


if __name__ == "__main__":
    main()
