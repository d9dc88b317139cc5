"""``make bench-ir``: what observing adds to a request in instructions, with 1, 20 and 100 connections in the pool.

Where the clock lies, on a busy machine or beside a request of several milliseconds, valgrind's callgrind counts.
Each figure is the difference of two runs of one worker, one with a hundred requests more than the other, so that
starting Python and filling the pool cancel out. What Python's allocator does depends on how the heap happens to be
filled: it once was 66 of 154 thousand instructions "added" to a request that takes 44 million. So each figure is the
median of three hash seeds, which fill it differently. Needs valgrind (Debian's package of that name).

    python -m bench.instructions            1, 20 and 100 connections of each library
    python -m bench.instructions httpx 100  one row
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
from typing import Final

SIZES: Final = (1, 20, 100)
LIBRARIES: Final = ("httpx", "httpx-async", "requests", "aiohttp")
WARM: Final = 40
MORE: Final = 100
"""Requests by which the longer of two runs is longer."""
SEEDS: Final = (1, 2, 3)
OFFICIAL: Final = "official, sampled"
ADDED: Final = ("capture", "poolscope, sampled", OFFICIAL)
"""What is compared with the bare library; of pools larger than the first only the first of these."""
GROWTH: Final = 1.2
"""What capturing may cost in the largest pool, in terms of what it costs in the smallest."""

WORKER: Final = """
import gc, sys
variant, library, size, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
from bench.variants import VARIANTS
settle = VARIANTS[variant](library.removesuffix("-async"))
def run():
    for number in range(count):
        client.get(url)
if library == "httpx":
    import httpx
    limits = httpx.Limits(max_connections=size + 5, max_keepalive_connections=size + 5, keepalive_expiry=9000)
    client = httpx.Client(limits=limits, timeout=600, verify=False)
    held = [client.send(client.build_request("GET", url), stream=True) for _ in range(size)]
    for response in held:
        response.read()
elif library == "httpx-async":
    import asyncio
    import httpx
    runner = asyncio.Runner()
    async def fill():
        limits = httpx.Limits(max_connections=size + 5, max_keepalive_connections=size + 5, keepalive_expiry=9000)
        built = globals()["client"] = httpx.AsyncClient(limits=limits, timeout=600, verify=False)
        held = [await built.send(built.build_request("GET", url), stream=True) for _ in range(size)]
        for response in held:
            await response.aread()
    async def gets():
        for number in range(count):
            await client.get(url)
    def run():
        runner.run(gets())
    runner.run(fill())
    held = response = None
elif library == "aiohttp":
    import asyncio
    import aiohttp
    runner = asyncio.Runner()
    async def get():
        async with client.get(url) as response:
            await response.read()
    async def fill():
        connector = aiohttp.TCPConnector(limit=size + 5, keepalive_timeout=9000)
        built = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=600))
        globals()["client"] = built
        await asyncio.gather(*(get() for _ in range(size)))
        assert sum(map(len, connector._conns.values())) == size
    async def gets():
        for number in range(count):
            await get()
    def run():
        runner.run(gets())
    runner.run(fill())
    held = response = None
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
run()
settle()
"""


def instructions(variant: str, library: str, size: int, url: str, count: int, seed: int) -> int:
    """What one run of the worker executes in all."""
    ran = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-c", WORKER,
         variant, library, str(size), url, str(count)],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
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
    return statistics.median(
        instructions(variant, library, size, url, WARM + MORE, seed)
        - instructions(variant, library, size, url, WARM, seed)
        for seed in SEEDS
    ) / (MORE * 1_000)


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
        columns = ("connections", "bare", *(f"+ {variant}" for variant in ADDED), "of official")
        print(f"{'':10}" + "".join(f"{column:>22}" for column in columns), flush=True)
        missed = False
        for library in libraries:
            added: dict[int, float] = {}
            for size in sizes:
                bare = of_a_request("bare", library, size, url)
                more = {
                    name: of_a_request(name, library, size, url) - bare
                    for name in (ADDED if size == sizes[0] else ADDED[:1])
                }
                added[size] = more["capture"]
                cells = [
                    str(size),
                    f"{bare:,.1f}",
                    *(f"{more[name]:+,.1f}" if name in more else "" for name in ADDED),
                ]
                cells += [f"{more['capture'] / more[OFFICIAL]:.2f}" if OFFICIAL in more else ""]
                print(f"{library:10}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
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
