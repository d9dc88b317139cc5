"""What does observing add to a request of `bench.service`'s service, in instructions?

    python -m bench.service_instructions [--in-flight 1] [--requests 200]

Each service runs under valgrind's callgrind, which counts from after its first requests until all that the measured ones
send has been sent. Two runs with one request in flight differ by about 10 thousand a request, however busy the machine is.
With 8 in flight they differ by 200, because what httpx's pool does depends on which requests meet there. Everything takes
some fifty times as long as without valgrind, so batches of spans are sent when they are full and at the end only, and more of
the setups that poolscope reports at a bounded rate come through. Needs valgrind.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import Final

from bench.overhead import start
from bench.service import WARM_UP, port_of, taken
from bench.service_variants import SERVER_ONLY, VARIANTS

NEVER: Final = "3600000"
COUNTED: Final = {
    "PYTHONHASHSEED": "1",
    "OTEL_BSP_SCHEDULE_DELAY": NEVER,
    "OTEL_BLRP_SCHEDULE_DELAY": NEVER,
    "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
}


def control(process: subprocess.Popen[str], state: str) -> None:
    """Have callgrind count in ``process``, or not."""
    subprocess.run(["callgrind_control", "-i", state, str(process.pid)], capture_output=True, check=True)


def of_a_request(variant: str, urls: list[str], in_flight: int, count: int) -> float:
    """Thousands of instructions for each of ``count`` requests."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--callgrind-out-file=/dev/null",
             sys.executable, "-m", "bench.service", "--serve", variant, *urls],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, env={**os.environ, **COUNTED},
        )  # fmt: skip
        port = port_of(process)
        taken(port, max(WARM_UP, in_flight), in_flight)
        control(process, "on")
        taken(port, count, in_flight)
        control(process, "off")
        process.communicate()
        said.seek(0)
        found = re.search(r"Collected : (\d+)", said.read())
    if found is None:
        raise SystemExit("callgrind counted nothing")
    return int(found[1]) / (count // in_flight * in_flight) / 1_000


def main() -> None:
    """Count what the command line asks for and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1], help="default: 1")
    parser.add_argument("--requests", type=int, default=200, help="default: 200")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        raise SystemExit("needs valgrind: on Debian, apt-get install valgrind")
    print("| in flight | variant | thousands a request | × official |\n|---:|---|---:|---:|")
    with ExitStack() as stack:
        urls = [f"http://127.0.0.1:{port_of(start(stack, 'bench.server'))}" for _ in ("upstream", "receiver")]
        for in_flight in options.in_flight:
            counted: dict[str, float] = {}
            for variant in VARIANTS:
                counted[variant] = of_a_request(variant, urls, in_flight, options.requests)
                print(row(in_flight, variant, counted), flush=True)


def row(in_flight: int, variant: str, counted: dict[str, float]) -> str:
    """A line of the Markdown table."""
    if variant == SERVER_ONLY:
        return f"| {in_flight} | {variant} | {counted[variant]:,.0f} | – |"
    added = {name: value - counted[SERVER_ONLY] for name, value in counted.items()}
    ratio = f"{added[variant] / added['official']:.2f}" if "official" in added else "–"
    return f"| {in_flight} | {variant} | {added[variant]:+,.0f} | {ratio} |"


if __name__ == "__main__":
    main()
