"""``python -m bench.bytecodes``: how many calls and bytecodes of poolscope's own code a request takes, and where.

Instructions differ from run to run by what the allocator does; this count does not, so it shows whether a change made
capturing cheaper. It leaves out what the bytecodes call in C.

    python -m bench.bytecodes                each library, in pools of 1, 20 and 100 connections
    python -m bench.bytecodes requests -v    one of them, function by function
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from types import FrameType
from typing import Any, Final, Self

from bench.instructions import LIBRARIES, MORE, SIZES, WARM, WORKER

OURS: Final = "src/poolscope/"
COUNT: Final = """
from bench.bytecodes import Counted
with Counted() as counted:
    run()
    settle()
for place in counted.bytecodes:
    print(place, counted.calls[place], counted.bytecodes[place])
"""


class Counted:
    """Counts calls and bytecodes of poolscope's functions in a block."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.bytecodes: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"<Counted {self.calls.total()} calls>"

    def __enter__(self) -> Self:
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _called(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        _, ours, file = frame.f_code.co_filename.rpartition(OURS)
        if not ours:
            return None
        place = f"{file}:{frame.f_code.co_name}"
        self.calls[place] += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False

        def step(_frame: FrameType, event: str, _argument: Any) -> Any:
            self.bytecodes[place] += event == "opcode"
            return step

        return step


def of_a_request(library: str, url: str, size: int) -> list[tuple[float, float, str]]:
    """(bytecodes, calls, function) a request on a kept connection in a pool of ``size``, the most first."""
    warm = WORKER.replace("int(sys.argv[5])", str(WARM)) + f"count = {MORE}\n" + COUNT
    command = [sys.executable, "-c", warm, "capture", library, str(size), url]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.rsplit(" ", 2) for line in ran.stdout.splitlines()]
    return sorted(
        ((int(codes) / MORE, int(calls) / MORE, place) for place, calls, codes in lines), reverse=True
    )


def main() -> None:
    """Print a row for each library."""
    parser = argparse.ArgumentParser(prog="python -m bench.bytecodes")
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=", ".join(LIBRARIES))
    parser.add_argument("-v", "--verbose", action="store_true", help="name the functions")
    given = parser.parse_args()
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/x"
        for library in given.libraries or LIBRARIES:
            for size in SIZES:
                rows = of_a_request(library, url, size)
                codes, calls = sum(row[0] for row in rows), sum(row[1] for row in rows)
                print(f"{library:12} pool of {size:>3} {codes:8,.0f} bytecodes in {calls:,.0f} calls")
                for each, times, place in rows if given.verbose else ():
                    print(f"  {each:8,.1f} {times:6,.1f}  {place}")
        assert server.stdin is not None
        server.stdin.close()


if __name__ == "__main__":
    main()
