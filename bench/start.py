"""``python -m bench.start``: what poolscope adds to the start of a program, in CPU time and, with valgrind, in instructions.

Programs with and without it run in turn, so that both meet the same machine: the table shows the median of the pairs,
and their quartiles. Instructions do not depend on the machine's other work.

    python -m bench.start            15 pairs of each
    python -m bench.start --runs 40  as many as that
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.instructions import collected

IMPORT: Final = "import httpx"
INSTRUMENT: Final = f"{IMPORT}\nimport poolscope\npoolscope.instrument(signals=False)"
SCRIPT: Final = str(Path(sys.executable).with_name("poolscope"))


def programs(empty: str) -> dict[str, tuple[list[str], list[str]]]:
    """What is compared: without poolscope, and with it."""
    python = sys.executable
    return {
        "poolscope run, an empty script": ([python, empty], [python, SCRIPT, "run", empty]),
        "instrument(signals=False)": ([python, "-c", IMPORT], [python, "-c", INSTRUMENT]),
    }


def cpu(command: Sequence[str]) -> float:
    """Milliseconds of CPU that the whole process takes."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return (used.ru_utime + used.ru_stime) * 1_000


def added(bare: Sequence[str], observed: Sequence[str], runs: int) -> list[float]:
    """Milliseconds that ``observed`` takes more than ``bare``, pair by pair; the first pair only fills caches."""
    return [cpu(observed) - cpu(bare) for _ in range(runs + 1)][1:]


def main() -> None:
    """Print a row for each program."""
    parser = argparse.ArgumentParser(prog="python -m bench.start")
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    counts = shutil.which("valgrind") is not None
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.py"
        empty.touch()
        print(
            "| added to the start by | ms of CPU | quartiles | million instructions |\n|---|---:|---:|---:|"
        )
        for name, (bare, observed) in programs(str(empty)).items():
            pairs = added(bare, observed, runs)
            low, median, high = statistics.quantiles(pairs, n=4)
            more = (collected(observed, 1) - collected(bare, 1)) / 1e6 if counts else None
            shown = "–" if more is None else f"{more:.0f}"
            print(f"| {name} | {median:.0f} | {low:.0f} … {high:.0f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
