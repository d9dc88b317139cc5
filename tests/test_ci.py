"""The last lines of `.ci/run`: all its pytest runs as one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUMMARY = Path(__file__).resolve().parent.parent / ".ci" / "summary.py"


def summary(directory: Path, *logs: str) -> str:
    for number, text in enumerate(logs):
        directory.joinpath(f"{number}.log").write_text(text, encoding="utf-8")
    command = [sys.executable, str(SUMMARY), "125", *map(str, directory.glob("*.log"))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_runs_are_added_up(tmp_path: Path) -> None:
    loud = (
        "collected 9 items\n===== 5 passed, 1 skipped, 3 deselected, 2 warnings in 61.20s (0:01:01) =====\n"
    )
    quiet = "....\n4 passed in 0.31s\n"
    assert summary(tmp_path, loud, quiet) == "===== 9 passed, 1 skipped in 125.00s =====\n"


def test_failures_come_first_and_errors_are_counted_apart(tmp_path: Path) -> None:
    failing = "FAILED tests/test_a.py::test_b - assert 1\n= 2 failed, 1 passed, 1 error in 3.00s =\n"
    broken = "===== 1 passed, 2 errors in 3.00s =====\n"
    assert summary(tmp_path, failing, broken) == "===== 2 failed, 2 passed, 3 errors in 125.00s =====\n"


def test_a_line_that_only_resembles_a_summary_is_ignored(tmp_path: Path) -> None:
    assert summary(tmp_path, "upstream: 3 passed, 0 failed\nsetup took 4 s in 2.0s\n") == (
        "===== no tests ran in 125.00s =====\n"
    )
