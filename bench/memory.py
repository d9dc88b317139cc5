"""Does memory stay flat? Resident size during very many requests, connections or origins.

    python -m bench.memory session|clients|origins|view|formats [--count 1000000]

``session``: requests on one Session; ``clients``: ``requests.get`` in a loop; ``origins``: as many origins
as requests, by host name; ``view``: `poolscope view` of a saved file with that many exchanges; ``formats``:
the same in every format, with kept and discarded connections. Prints the
resident set every tenth of the way, and at the end the growth after the first twentieth.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from bench.overhead import start


def resident_mb() -> float:
    """Resident set of this process in MB (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def watch(make_request: Callable[[int], object], count: int) -> None:
    """Make ``count`` requests and print how the resident set develops."""
    import poolscope
    from poolscope.instrumentor import INSTRUMENTOR
    from poolscope.reports.overview import Overview

    overview = Overview()
    INSTRUMENTOR.listen(overview.add)
    poolscope.instrument(signals=False)
    settled_at = max(count // 20, 1)
    settled = 0.0
    for number in range(1, count + 1):
        make_request(number)
        if number == settled_at:
            settled = resident_mb()
        if number % max(count // 10, 1) == 0:
            print(f"{number:>10,} requests  {resident_mb():8.1f} MB", flush=True)
    print(f"growth after the first {settled_at:,}: {resident_mb() - settled:+.1f} MB")


def session(url: str, count: int) -> None:
    """One Session."""
    import requests

    client = requests.Session()
    watch(lambda _: client.get(url).content, count)


def clients(url: str, count: int) -> None:
    """A client per request."""
    import requests

    watch(lambda _: requests.get(url, timeout=10).content, count)


def origins(url: str, count: int) -> None:
    """An origin per request: every name resolves to the one server."""
    import socket

    import requests

    port = int(url.rsplit(":", 1)[1].strip("/"))
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda _, *rest, **more: resolve("127.0.0.1", *rest, **more)

    def get(number: int) -> None:
        requests.get(f"http://host-{number}.test:{port}/", timeout=10).content  # noqa: B018

    watch(get, count)


def saved_lines(count: int) -> Iterator[str]:
    """A saved file of ``count`` exchanges, one hundred on each connection."""
    from poolscope import records

    opened = records.Connection(1, 0, None, None, "http://a.test", "direct")
    yield records.to_json(records.Header(1, records.SCHEMA_VERSION, "0", "3", 0.0, 0.0))
    for number in range(1, count + 1):
        at = number / 1000
        connection, place = divmod(number - 1, 100)
        if place == 0:
            opened = records.Connection(
                1, connection + 1, None, None, "http://a.test", "direct", opened_at=at
            )
            yield records.to_json(opened)
        yield records.to_json(
            records.Exchange(
                1, number, connection + 1, None, None, "http://a.test", "GET", "http://a.test/", place + 1,
                place > 0, started_at=at, sent_at=at, headers_at=at, finished_at=at, status=200,
            )
        )  # fmt: skip
        if place == 99:
            opened.closed_at, opened.close_reason, opened.closed_by = at, "client_close", "client"
            opened.requests = 100
            yield records.to_json(opened)


def view(count: int) -> None:
    """`poolscope view` of a saved file."""
    with saved(saved_lines(count), count) as path:
        peak, seconds, _ = viewed(path, "text")
    print(f"poolscope view: peak {peak:.0f} MB, {seconds:.0f} s")


def formats(count: int) -> None:
    """`poolscope view` of a saved file in each format."""
    from poolscope import records
    from poolscope.reports.renderer import FORMATS
    from tests.pictures import large

    with saved(map(records.to_json, large.records(count)), count) as path:
        for name in FORMATS:
            peak, seconds, size = viewed(path, name)
            print(
                f"{name:<9} peak {peak:4.0f} MB  {seconds:4.0f} s  {size / 1e6:6.1f} MB written", flush=True
            )


@contextmanager
def saved(lines: Iterable[str], count: int) -> Iterator[str]:
    """A saved file of these lines."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "saved.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
        print(f"{count:,} exchanges, {os.path.getsize(path) / 1e6:.0f} MB on disk", flush=True)
        yield path


def viewed(path: str, name: str) -> tuple[float, float, int]:
    """`poolscope view --format` in its own process: the most memory it used in MB, seconds, bytes written."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out")
        code = (
            "import json, sys, time; from poolscope.cli.main import main\n"
            "from bench.memory import peak_mb; t = time.perf_counter()\n"
            "try: main(['view', '--format', sys.argv[1], '-o', sys.argv[2], sys.argv[3]])\n"
            "except SystemExit: pass\n"
            "print(json.dumps([peak_mb(), time.perf_counter() - t]))"
        )
        command = [sys.executable, "-c", code, name, out, path]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        peak, seconds = json.loads(done.stdout)
        return peak, seconds, os.path.getsize(out)


def peak_mb() -> float:
    """The most memory that this process had; getrusage would begin with the parent's."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1e3


def main() -> None:
    """Run the scenario named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", choices=("session", "clients", "origins", "view", "formats"))
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.scenario in ("view", "formats"):
        {"view": view, "formats": formats}[options.scenario](options.count)
        return
    with ExitStack() as stack:
        server = start(stack, "bench.server")
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
        {"session": session, "clients": clients, "origins": origins}[options.scenario](url, options.count)


if __name__ == "__main__":
    main()
