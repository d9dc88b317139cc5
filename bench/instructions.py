"""``make bench-ir``: what capturing adds to a request in instructions, with 1, 20 and 100 connections in the pool.

Where the clock lies, on a busy machine or beside a request of several milliseconds, valgrind's callgrind counts.
Each figure is the difference of two runs of one worker, one with a hundred requests more than the other, so that
starting Python and filling the pool cancel out. Needs valgrind (Debian's package of that name).

    python -m bench.instructions            1, 20 and 100 connections, httpx and requests
    python -m bench.instructions httpx 100  one row
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Final

SIZES: Final = (1, 20, 100)
LIBRARIES: Final = ("httpx", "requests")
WARM: Final = 40
MORE: Final = 100
"""Requests by which the longer of two runs is longer."""
GROWTH: Final = 1.2
"""What capturing may cost in the largest pool, in terms of what it costs in the smallest."""

WORKER: Final = """
import gc, sys
variant, library, size, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
settle = lambda: None
if variant == "capture":
    import poolscope
    from poolscope.queue import FACTS
    poolscope.instrument(signals=False)
    settle = FACTS.settle
if library == "httpx":
    import httpx
    limits = httpx.Limits(max_connections=size + 5, max_keepalive_connections=size + 5, keepalive_expiry=9000)
    client = httpx.Client(limits=limits, timeout=600, verify=False)
    held = [client.send(client.build_request("GET", url), stream=True) for _ in range(size)]
    for response in held:
        response.read()
else:
    import requests
    from requests.adapters import HTTPAdapter
    client = requests.Session()
    client.mount("http://", HTTPAdapter(pool_maxsize=size + 5))
    held = [client.get(url, stream=True) for _ in range(size)]
    for response in held:
        response.content
del held, response
gc.collect()
gc.disable()
for number in range(count):
    client.get(url)
settle()
"""


def instructions(variant: str, library: str, size: int, url: str, count: int) -> int:
    """What one run of the worker executes in all."""
    ran = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-c", WORKER,
         variant, library, str(size), url, str(count)],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or found is None:
        raise SystemExit(f"callgrind failed:\n{ran.stderr[-2000:]}")
    return int(found[1])


def of_a_request(variant: str, library: str, size: int, url: str) -> float:
    """Instructions of one request, in thousands."""
    fewer = instructions(variant, library, size, url, WARM)
    more = instructions(variant, library, size, url, WARM + MORE)
    return (more - fewer) / MORE / 1000


def main() -> None:
    """Print a row for each library and size, and whether the growth is what it may be."""
    if shutil.which("valgrind") is None:
        raise SystemExit("needs valgrind: on Debian, apt-get install valgrind")
    libraries = [word for word in sys.argv[1:] if word in LIBRARIES] or list(LIBRARIES)
    sizes = [int(word) for word in sys.argv[1:] if word.isdigit()] or list(SIZES)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/x"
        print("thousands of instructions a request", flush=True)
        print(f"{'':10}{'connections':>12}{'bare':>12}{'capturing':>12}{'added':>10}", flush=True)
        missed = False
        for library in libraries:
            added: dict[int, float] = {}
            for size in sizes:
                bare, captured = (of_a_request(name, library, size, url) for name in ("bare", "capture"))
                added[size] = captured - bare
                print(
                    f"{library:10}{size:>12}{bare:>12,.1f}{captured:>12,.1f}{added[size]:>+10,.1f}",
                    flush=True,
                )
            if len(added) > 1:
                growth = added[max(added)] / added[min(added)]
                missed = missed or growth > GROWTH
                print(
                    f"{library:10}{max(added)} connections cost {growth:.2f} times what {min(added)} cost",
                    flush=True,
                )
        assert server.stdin is not None
        server.stdin.close()
    if missed:
        raise SystemExit(f"the growth is above {GROWTH}")


if __name__ == "__main__":
    main()
