"""Puts the current report of examples/seed.py between README.md's markers. Run by `make readme`."""

import os
import pathlib
import re
import subprocess
import sys

HOUSE = pathlib.Path(__file__).resolve().parent.parent
MARKED = re.compile(r"(?<=<!-- report: seed -->\n).*?(?=<!-- report ends -->)", re.DOTALL)


def report() -> str:
    """What `poolscope demo seed` shows of the seed program's own report."""
    command = [sys.executable, "-m", "poolscope", "demo", "seed"]
    plain = {**os.environ, "NO_COLOR": "1", "COLUMNS": "110"}
    demo = subprocess.run(command, cwd=HOUSE, env=plain, check=True, capture_output=True, text=True)
    # The demo runs copies of the examples in a folder that it removes afterwards.
    return re.sub(r"^files below .*\n", "", demo.stderr, flags=re.MULTILINE).rstrip()


def main() -> None:
    """Fill in the README; leaves it alone if the markers are gone."""
    readme = HOUSE / "README.md"
    text = readme.read_text(encoding="utf-8")
    overview = f"```text\n$ poolscope demo seed\n{report()}\n```\n"
    filled, places = MARKED.subn(lambda _: overview, text)
    if places != 1:
        sys.exit("README.md has no '<!-- report: seed -->' … '<!-- report ends -->' to fill")
    readme.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
