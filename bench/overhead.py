"""What does poolscope cost? Process CPU per request, paired and interleaved in one run.

    python -m bench.overhead [--library requests] [--sets 3] [--rounds 12] [--requests 400]

Each set starts one process per variant. In each round, each process makes its requests, in random order,
and is compared with the bare process of the same set and round. "bare again" shows the noise of the machine.
Absolute figures depend on the machine; the ratios are the result.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack

from bench.variants import VARIANTS
from bench.worker import LIBRARIES

PINNED_MALLOC = {"MALLOC_TRIM_THRESHOLD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "268435456"}
"""Without it, asyncio's 256 KiB receive buffer triggers heap trims, and a variant may look faster than bare."""


def start(stack: ExitStack, module: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process of ours that ends with ``stack``."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **PINNED_MALLOC, "PYTHONHASHSEED": "0"},
    )
    stack.callback(process.wait)
    assert process.stdin is not None
    stack.callback(process.stdin.close)
    return process


def ask(process: subprocess.Popen[str], line: str) -> str:
    """Send a line, return the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        raise SystemExit(f"benchmark process ended early: {process.args!r}")
    return answer


def measure(library: str, variants: list[str], sets: int, rounds: int, count: int) -> dict[str, list[float]]:
    """µs of CPU per request above the bare process of the same round; ``bare`` holds the absolute figures."""
    differences: dict[str, list[float]] = defaultdict(list)
    for number in range(sets):
        with ExitStack() as stack:
            server = start(stack, "bench.server")
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
            workers = {}
            for variant in variants:
                worker = start(stack, "bench.worker", library, variant, url, "0")
                assert worker.stdout is not None
                if worker.stdout.readline() != "ready\n":
                    raise SystemExit(f"variant {variant!r} did not start")
                workers[variant] = worker
            for _ in range(rounds):
                taken = {}
                for variant in random.sample(variants, len(variants)):
                    taken[variant] = float(ask(workers[variant], str(count)))
                for variant, microseconds in taken.items():
                    against = 0.0 if variant == "bare" else taken["bare"]
                    differences[variant].append(microseconds - against)
        print(f"{library}: set {number + 1} of {sets} done", file=sys.stderr)
    return differences


def table(library: str, differences: dict[str, list[float]]) -> str:
    """The result as a Markdown table: median difference, its quartiles, and ratios to the official package."""
    medians = {variant: statistics.median(values) for variant, values in differences.items()}
    lines = [
        f"**{library}** (bare: {medians['bare']:.0f} µs a request)",
        "",
        "| variant | added µs | quartiles | × official sampled | × official unsampled |",
        "|---|---:|---:|---:|---:|",
    ]
    for variant, values in differences.items():
        if variant == "bare":
            continue
        low, _, high = statistics.quantiles(values, n=4)
        ratios = " | ".join(
            f"{medians[variant] / medians[other]:.2f}" if medians.get(other, 0) > 0 else "–"
            for other in ("official, sampled", "official, unsampled")
        )
        lines.append(f"| {variant} | {medians[variant]:+.1f} | {low:+.1f} … {high:+.1f} | {ratios} |")
    return "\n".join(lines)


def main() -> None:
    """Measure as the command line says, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", choices=LIBRARIES, action="append", help="default: all of them")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="default: all of them")
    parser.add_argument("--sets", type=int, default=3, help="process sets (default: 3)")
    parser.add_argument("--rounds", type=int, default=12, help="rounds in each set (default: 12)")
    parser.add_argument("--requests", type=int, default=400, help="requests in each round (default: 400)")
    options = parser.parse_args()
    variants = list(dict.fromkeys(["bare", "bare again", *(options.variant or VARIANTS)]))
    for library in options.library or LIBRARIES:
        differences = measure(library, variants, options.sets, options.rounds, options.requests)
        print(table(library, {variant: differences[variant] for variant in variants}), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
