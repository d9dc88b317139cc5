"""`python -m tests.versions oldest older …`: the hooks' tests over old versions of the libraries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.upstream.prepare import HOME, python_with
from tests.versions.pins import SETS, TESTS, TOOLS, Pins

HOUSE = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).resolve().parent / "plugin"


def run(pins: Pins) -> bool:
    """Run the tests in the environment of ``pins``, made first if needed; False if a test failed."""
    print(f"{pins.name}: {', '.join(pins.libraries)}", flush=True)
    python = python_with((*pins.libraries, *TOOLS), HOME / "versions" / pins.name)
    began = time.monotonic()
    path = os.pathsep.join([str(HOUSE / "src"), str(PLUGIN)])
    arguments = ["-p", "poolscope_versions", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [python, "-m", "pytest", *arguments, *TESTS],
        cwd=HOUSE,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    print(
        f"{pins.name}: {'passed' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s"
    )
    return done.returncode == 0


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SETS]
    if unknown:
        print(f"no set called {', '.join(unknown)}; there are {', '.join(SETS)}", file=sys.stderr)
        return 2
    good = [run(SETS[name]) for name in names or SETS]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
