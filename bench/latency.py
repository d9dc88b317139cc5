"""How much longer does a single request take? Percentiles of the CPU time of its thread, paired in one run.

    python -m bench.latency [--library requests] [--rounds 5] [--requests 4000]

A mean hides the one request in a thousand that pays for all the others, so each request is timed by itself, by the
clock of its own thread: what other processes do on the machine does not count, and neither does another thread of
this one. Each round runs every variant in a process of its own, in random order; the table shows the median of all
rounds for each percentile. "bare again" shows the noise.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Final

from bench.overhead import ask, start
from bench.variants import VARIANTS
from bench.worker import LIBRARIES

PERCENTILES: Final = (50.0, 99.0, 99.9)
SHOWN: Final = ("bare", "bare again", "capture", "official, sampled", "poolscope, sampled", "both, sampled")
SYNCHRONOUS: Final = ("httpx", "requests")
"""One request after the other in one thread: only there a request has a thread's clock for itself."""


def serve(library: str, variant: str, url: str) -> None:
    """One process of a measurement: for each number on standard input so many requests, and their percentiles in µs."""
    VARIANTS[variant](library)
    run = LIBRARIES[library](url)
    run(1_500)  # the queue is as long as it gets: from then on requests drain it
    gc.collect()
    gc.freeze()
    gc.disable()  # its pauses are the program's, and a few of them would be all that a high percentile shows
    print("ready", flush=True)
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            before = time.thread_time_ns()
            run(1)
            took.append((time.thread_time_ns() - before) / 1e3)
        took.sort()
        print(
            *(took[min(int(len(took) * p / 100), len(took) - 1)] for p in PERCENTILES), took[-1], flush=True
        )


def measure(library: str, rounds: int, count: int) -> dict[str, list[list[float]]]:
    """Percentiles of each variant, a list a round."""
    found: dict[str, list[list[float]]] = {variant: [] for variant in SHOWN}
    for number in range(rounds):
        for variant in random.sample(SHOWN, len(SHOWN)):
            with ExitStack() as stack:
                server = start(stack, "bench.server")
                assert server.stdout is not None
                url = f"http://127.0.0.1:{int(server.stdout.readline())}/"
                worker = start(stack, "bench.latency", "--serve", library, variant, url)
                assert worker.stdout is not None
                if worker.stdout.readline() != "ready\n":
                    raise SystemExit(f"variant {variant!r} did not start")
                found[variant].append([float(each) for each in ask(worker, str(count)).split()])
        print(f"{library}: round {number + 1} of {rounds} done", file=sys.stderr)
    return found


def table(library: str, found: dict[str, list[list[float]]]) -> str:
    """The result as a Markdown table, in µs."""
    heads = [*(f"p{p:g}" for p in PERCENTILES), "longest"]
    lines = [f"**{library}** (µs)", "", f"| variant | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for variant, rounds in found.items():
        medians = (statistics.median(values) for values in zip(*rounds, strict=True))
        lines.append(f"| {variant} | {' | '.join(f'{each:,.0f}' for each in medians)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure as the command line says, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--library", choices=SYNCHRONOUS, action="append", help="default: both")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--requests", type=int, default=4_000, help="requests in each round (default: 4000)")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    for library in options.library or SYNCHRONOUS:
        print(table(library, measure(library, options.rounds, options.requests)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
