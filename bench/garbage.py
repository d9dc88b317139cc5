"""``python -m bench.garbage``: how long Python's garbage collector runs in each request.

The other counts are made without it. It examines the objects that were made since it last ran, and some of those that
it has seen before, so everything that waits in poolscope's queue makes it slower. A request of httpx leaves
cycles behind, which call it every 24 requests; requests and aiohttp leave none.

    python -m bench.garbage               httpx
    python -m bench.garbage httpx-async   another library
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from bench.instructions import LIBRARIES, WARM, WORKER

REQUESTS: Final = 12_000
VARIANTS: Final = ("bare", "capture", "official, sampled", "poolscope, sampled")
TIMED: Final = f"""
import time
took, runs, began = [0.0, 0.0, 0.0], [0, 0, 0], 0.0
def note(phase, about):
    global began
    if phase == "start":
        began = time.thread_time()
    else:
        took[about["generation"]] += time.thread_time() - began
        runs[about["generation"]] += 1
gc.callbacks.append(note)
gc.enable()
count = {REQUESTS}
run()
settle()
print(*runs, *took)
"""


def of_a_run(variant: str, library: str, url: str) -> tuple[list[int], list[float]]:
    """Collections of each generation, and their seconds."""
    program = WORKER.replace("int(sys.argv[5])", str(WARM)) + TIMED
    command = [sys.executable, "-c", program, variant, library, "1", url]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    words = ran.stdout.split()
    return [int(word) for word in words[:3]], [float(word) for word in words[3:]]


def main() -> None:
    """Print a row for each variant."""
    libraries = [word for word in sys.argv[1:] if word in LIBRARIES] or ["httpx"]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/x"
        print(f"{'':33} µs a request  collections of each generation in {REQUESTS:,} requests")
        for library in libraries:
            for variant in VARIANTS:
                runs, took = of_a_run(variant, library, url)
                each = 1e6 * sum(took) / REQUESTS
                print(f"{library:12}{variant:21} {each:12.1f}  {' '.join(map(str, runs))}", flush=True)
        assert server.stdin is not None
        server.stdin.close()


if __name__ == "__main__":
    main()
