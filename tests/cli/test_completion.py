"""Shell completion is click's own; these are the suggestions for our commands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Program

pytestmark = pytest.mark.processes

MAIN = "import sys; from poolscope.cli.main import main; main(sys.argv[1:])"


def offered(program: Program, line: str) -> list[str]:
    """What bash suggests for the line typed so far: one (kind, value) per line."""
    asked = {
        "_POOLSCOPE_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", MAIN],
        env=program.environment(**asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("poolscope vi", ["plain,view"]),
        ("poolscope run --sa", ["plain,--save"]),
        ("poolscope run slow", ["file,slow"]),
        ("poolscope view calls", ["file,calls"]),
        ("poolscope li", ["plain,lint"]),
        ("poolscope lint sr", ["file,sr"]),
        ("poolscope lint --format sa", ["plain,sarif"]),
        ("poolscope diff before.jsonl aft", ["file,aft"]),
    ],
)
def test_commands_options_and_files_are_completed(program: Program, line: str, expected: list[str]) -> None:
    assert offered(program, line) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_of_the_documentation_gives_a_script(program: Program, shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN], env=program.environment(_POOLSCOPE_COMPLETE=f"{shell}_source"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_POOLSCOPE_COMPLETE={shell}_complete" in done.stdout
