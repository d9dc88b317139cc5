"""The files of ours that each start of Python reads: `poolscope.pth`, and `poolscope.start` from 3.15 on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SOURCE, Program

pytestmark = pytest.mark.processes


def start(python: str, program: Program, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-c", "import sys; print('poolscope.recording.session' in sys.modules)"],
        env=program.environment(PYTHONPATH="", **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


@pytest.mark.regress
def test_an_uninstalled_package_prints_nothing(tmp_path: Path, program: Program) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    site = next((tmp_path / "env").glob("lib/python*/site-packages"))
    shutil.copy(Path(SOURCE) / "poolscope.pth", site)
    run = start(str(tmp_path / "env" / "bin" / "python"), program, POOLSCOPE="1")
    assert (run.stdout, run.stderr) == ("False\n", "")


@pytest.mark.regress
@pytest.mark.parametrize("value", ["false", "off", "no", "False", "OFF", " 0 "])
def test_every_word_for_no(value: str, program: Program, installed: tuple[str, dict[str, str]]) -> None:
    run = start(installed[0], program, POOLSCOPE=value)
    assert (run.stdout, run.stderr) == ("False\n", "")


@pytest.mark.parametrize(
    ("value", "recorded"), [("", False), ("0", False), ("1", True), ("on", True), ("YES", True)]
)
def test_every_word_for_yes(
    value: str, recorded: bool, program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    run = start(installed[0], program, POOLSCOPE=value)
    assert (run.stdout, run.stderr) == (f"{recorded}\n", "")


@pytest.mark.parametrize(
    ("value", "trouble"),
    [
        ("--sav calls.jsonl", "no such option: --sav"),
        ("--save 'calls.jsonl", "No closing quotation"),
        ("2 --otlp http://me:sesame@127.0.0.1:4318", "neither 1 nor options"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable_and_without_its_secrets(
    value: str, trouble: str, program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    run = start(installed[0], program, POOLSCOPE=value)
    assert run.stderr.count("\n") == 1
    assert "not recording: the variable POOLSCOPE: " in run.stderr
    assert trouble in run.stderr
    assert "sesame" not in run.stderr


@pytest.mark.regress
def test_there_is_an_entry_for_python_3_15(program: Program, installed: tuple[str, dict[str, str]]) -> None:
    """As PEP 829 says, `pkgutil.resolve_name` resolves each line, and the result is called."""
    entries = (Path(SOURCE) / "poolscope.start").read_text().split()
    call = "import pkgutil, sys\n" + "".join(f"pkgutil.resolve_name({entry!r})()\n" for entry in entries)
    for value in ("0", "1"):
        run = subprocess.run(
            [
                sys.executable,
                "-S",
                "-c",
                call + "print('poolscope' in sys.modules, 'poolscope.recording.session' in sys.modules)",
            ],
            env=program.environment(POOLSCOPE=value),
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == ("True False\n" if value == "0" else "True True\n")
    run = subprocess.run(
        [sys.executable, "-S", "-c", call + "print('poolscope' in sys.modules)"],
        env=program.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "False\n", "the package is not imported for a variable that is not set"


def test_a_start_without_the_variable_costs_less_than_a_millisecond(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    line = (Path(SOURCE) / "poolscope.pth").read_text()
    measure = f"import time\nline = {line!r}\nexec(line)\nbegan = time.process_time()\nfor _ in range(100):\n    exec(line)\nprint((time.process_time() - began) / 100)"
    run = subprocess.run(
        [sys.executable, "-c", measure], env=program.environment(), capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 0.001


@pytest.mark.regress
@pytest.mark.parametrize(
    "words",
    [["-X", "dev", "program.py"], ["-W", "ignore", "program.py"], ["-Xdev", "-Wignore", "-u", "program.py"]],
)
def test_the_title_is_the_command(
    words: list[str], program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    if words[0].startswith("-Xdev"):
        words = ["-X", "utf8", *words]
    program.write("import requests\nrequests.get('{url}').close()")
    run = subprocess.run(
        [installed[0], *words],
        cwd=program.directory,
        env=program.environment(PYTHONPATH="", POOLSCOPE="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^ +program\.py · Python", run.stderr, re.MULTILINE)
