"""What a process loads of poolscope, and when: a program that makes no request must not pay for reports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import POOLSCOPE, Program

pytestmark = [pytest.mark.processes, pytest.mark.unmeasured]

FOR_RECORDS = {
    "poolscope.records",
    "poolscope.ledger.convert",
    "poolscope.findings",
    "poolscope.reports.overview",
    "poolscope.recording.reader",
    "dataclasses",
    "inspect",
    "tempfile",
    "shutil",
    "threading",
}
"""What a start does not need; together it would double it."""


def loaded(program: Program, code: str, *options: str, **variables: str) -> set[str]:
    """Every module that the process loaded, its end included."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *POOLSCOPE[1:], "run", *options, "-c", code],
        env=program.environment(**variables),
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if "import time:" in line}


def test_a_program_without_a_request_loads_nothing_for_reports(program: Program) -> None:
    assert not loaded(program, "print(1)") & FOR_RECORDS


def test_nor_does_a_child_of_a_recorded_program(program: Program) -> None:
    child = "import sys; print(*sorted(sys.modules))"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    run = program.poolscope("run", "-c", code)
    assert run.returncode == 0, run.stderr
    names = set(run.stdout.split())
    assert "poolscope.recording.session" in names
    assert not names & FOR_RECORDS


def test_instrument_loads_no_library_that_is_not_in_use(program: Program) -> None:
    code = "import poolscope, httpx; poolscope.instrument(signals=False); import sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], env=program.environment(), capture_output=True, text=True, check=True
    )
    names = set(run.stdout.split())
    assert "poolscope.libraries.httpx" in names
    assert not {name for name in names if name.startswith("poolscope.libraries.httpcore")}
    assert "poolscope.records" not in names


@pytest.mark.parametrize("client", ["httpx", "requests", "urllib3", "aiohttp"])
def test_the_import_of_a_client_loads_it_all_before_the_first_request(program: Program, client: str) -> None:
    code = f"import sys, {client}; print('poolscope.reports.overview' in sys.modules, 'poolscope.records' in sys.modules)"
    assert program.poolscope("run", "-c", code).stdout == "True True\n"


OF_PYTHON = ("ast", "dataclasses", "dis", "inspect")
"""What takes records needs them, and urllib3 does not."""


def test_a_program_s_own_modules_with_such_names_are_not_loaded_for_us(program: Program) -> None:
    folder = program.directory / "its_own"
    folder.mkdir()
    for name in OF_PYTHON:
        (folder / f"{name}.py").write_text(f"print('{name} was loaded')")
    url = program.server.url("/fixed/x")
    (folder / "main.py").write_text(
        f"import urllib3\nprint(urllib3.PoolManager().request('GET', {url!r}).status)\n"
    )
    bare = subprocess.run(
        [sys.executable, str(folder / "main.py")], capture_output=True, text=True, check=True
    )
    run = program.poolscope("run", str(folder / "main.py"))
    assert (run.returncode, run.stdout, bare.stdout) == (0, "200\n", "200\n"), run.stderr
    assert "1 request · 1 connection" in run.stderr


def test_nor_are_those_that_the_program_has_loaded_taken_for_python_s(program: Program) -> None:
    folder = program.directory / "loads_its_own"
    folder.mkdir()
    for name in ("copy", "dis"):
        (folder / f"{name}.py").write_text(f"MINE = '{name}'")
    url = program.server.url("/fixed/x")
    (folder / "main.py").write_text(
        f"import copy, dis, urllib3\nurllib3.PoolManager().request('GET', {url!r})\nimport copy\n"
        "print(copy.MINE, dis.MINE)\n"
    )
    run = program.poolscope("run", str(folder / "main.py"))
    assert (run.returncode, run.stdout) == (0, "copy dis\n"), run.stderr
    assert "1 request · 1 connection" in run.stderr
