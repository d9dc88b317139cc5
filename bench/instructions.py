"""``make bench-ir``: instructions that observing adds to a request, by the size of the pool and with signals.

On a busy machine, or beside a request of several milliseconds, a clock is too coarse, so valgrind's callgrind counts.
Each figure is the difference of two runs of one worker, one of them with a hundred requests more, so that
starting Python and filling the pool cancel out. What Python's allocator does depends on how the heap happens to be
filled: once it was 66 of 154 thousand instructions "added" to a request that takes 44 million. So each figure is the
median of three hash seeds, which fill it differently. Needs valgrind (Debian's package of that name).

    python -m bench.instructions            1, 20 and 100 connections of each library
    python -m bench.instructions httpx 100  one of these

Spans and metrics cost several times as much as capturing, so one hash seed is enough for them. They are counted with the
smallest pool; the ratio is to the official package with the same sampling.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

SIZES: Final = (1, 20, 100)
LIBRARIES: Final = ("httpx", "httpx-async", "requests", "aiohttp")
WARM: Final = 40
MORE: Final = 100
"""How many requests more the longer of two runs makes."""
SEEDS: Final = (1, 2, 3)
CAPTURE: Final = "capture"
OFFICIAL: Final[dict[str, str]] = {
    "official, sampled": "official, sampled",
    "poolscope, sampled": "official, sampled",
    "both, sampled": "official, sampled",
    CAPTURE: "official, sampled",
    "official, unsampled": "official, unsampled",
    "poolscope, unsampled": "official, unsampled",
    "both, unsampled": "official, unsampled",
}
"""What is compared with the bare library, and the official package that it is compared with."""
GROWTH: Final = 1.2
"""The most that capturing may cost in the largest pool, relative to the smallest."""

WORKER: Final = """
import gc, sys
variant, library, size, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
from bench.variants import VARIANTS
settle = VARIANTS[variant](library.partition("-")[0])
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
    limits = httpx.Limits(max_connections=size + 5, max_keepalive_connections=size + 5, keepalive_expiry=9000)
    client = httpx.AsyncClient(limits=limits, timeout=600, verify=False)
    async def fill():
        held = [await client.send(client.build_request("GET", url), stream=True) for _ in range(size)]
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


def collected(command: Sequence[str], seed: int) -> int:
    """What one run of ``command`` executes in all."""
    ran = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode or found is None:
        raise SystemExit(f"callgrind failed:\n{ran.stderr[-2000:]}")
    return int(found[1])


def instructions(variant: str, library: str, size: int, url: str, count: int, seed: int) -> int:
    """What one run of the worker executes in all."""
    return collected([sys.executable, "-c", WORKER, variant, library, str(size), url, str(count)], seed)


def of_a_request(variant: str, library: str, size: int, url: str, seeds: tuple[int, ...] = SEEDS) -> float:
    """Instructions of one request, in thousands."""
    return statistics.median(
        instructions(variant, library, size, url, WARM + MORE, seed)
        - instructions(variant, library, size, url, WARM, seed)
        for seed in seeds
    ) / (MORE * 1_000)


def line(*cells: str) -> None:
    """Print one row."""
    print(
        f"{cells[0]:12}{cells[1]:>12}  {cells[2]:22}" + "".join(f"{cell:>12}" for cell in cells[3:]),
        flush=True,
    )


def signals(library: str, size: int, url: str, bare: float, capture: float) -> None:
    """Print what each variant adds, and its ratio to the official package's."""
    added = {CAPTURE: capture}
    for variant, official in OFFICIAL.items():
        if variant not in added:
            added[variant] = of_a_request(variant, library, size, url, SEEDS[:1]) - bare
        ratio = added[variant] / added[official]
        line(library, str(size), variant, f"{added[variant]:+,.1f}", f"{ratio:.2f}")


def growth(library: str, added: dict[int, float]) -> float:
    """The cost of capturing in the largest pool, relative to the smallest."""
    if len(added) < 2:
        return 1.0
    grown = added[max(added)] / added[min(added)]
    print(f"{library}: {max(added)} connections cost {grown:.2f} times what {min(added)} cost", flush=True)
    return grown


def measure(library: str, sizes: list[int], url: str) -> float:
    """Print the rows of one library; returns how capturing grows with the pool."""
    added: dict[int, float] = {}
    for size in sizes:
        bare = of_a_request("bare", library, size, url)
        added[size] = of_a_request(CAPTURE, library, size, url) - bare
        line(library, str(size), "bare", f"{bare:,.1f}")
        if size == sizes[0]:
            signals(library, size, url, bare, added[size])
        else:
            line(library, str(size), CAPTURE, f"{added[size]:+,.1f}")
    return growth(library, added)


def main() -> None:
    """Print the rows of each library; returns whether the growth is within its limit."""
    if shutil.which("valgrind") is None:
        raise SystemExit("needs valgrind: on Debian, apt-get install valgrind")
    libraries = [word for word in sys.argv[1:] if word in LIBRARIES] or list(LIBRARIES)
    sizes = [int(word) for word in sys.argv[1:] if word.isdigit()] or list(SIZES)
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/x"
        line("", "connections", "thousands a request", "", "× official")
        grown = max(measure(library, sizes, url) for library in libraries)
        assert server.stdin is not None
        server.stdin.close()
    if grown > GROWTH:
        raise SystemExit(f"the growth is above {GROWTH}")


if __name__ == "__main__":
    main()
