"""`summary.py SECONDS LOG…`: adds up all pytest runs in these logs, in pytest's own words."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

LAST_LINE = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s\b", re.MULTILINE)
OUTCOMES = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
"""pytest also counts warnings and deselected tests; these are not outcomes of a test."""


def added_up(texts: Iterable[str]) -> Counter[str]:
    """Outcome → number of tests, over every summary in ``texts``."""
    total: Counter[str] = Counter()
    for counts in (counts for text in texts for counts in LAST_LINE.findall(text)):
        for count, outcome in re.findall(r"(\d+) (error|[a-z]+)", counts):
            total[outcome] += int(count)
    return total


def main(seconds: str, *logs: str) -> None:
    total = added_up(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    if total["error"] > 1:
        total["errors"] = total.pop("error")
    said = [f"{total[outcome]} {outcome}" for outcome in (*OUTCOMES, "errors") if total[outcome]]
    print(f"===== {', '.join(said) or 'no tests ran'} in {float(seconds):.2f}s =====")


if __name__ == "__main__":
    main(*sys.argv[1:])
