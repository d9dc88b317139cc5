"""The end of a run names all tests that it left out, why, and how to run them; one process or several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

HOUSE = Path(__file__).resolve().parent.parent

TESTS = """
import pytest

def test_plain(): pass

@pytest.mark.patient
def test_patient(): pass

@pytest.mark.patient
@pytest.mark.moon
def test_on_the_moon(): pass

@pytest.mark.other
def test_of_no_tier(): pass
"""
SETTINGS = """
[pytest]
markers =
    patient: slow: it waits
    moon: needs the moon
    other: says nothing of time or needs
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "checks"
    folder.mkdir()
    folder.joinpath("test_it.py").write_text(TESTS)
    folder.joinpath("conftest.py").write_text("pytest_plugins = ['tests.not_run']")
    tmp_path.joinpath("pytest.ini").write_text(SETTINGS)
    return tmp_path


def said(project: Path, *arguments: str) -> list[str]:
    """The lines of the section."""
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "no:cacheprovider", *arguments, "checks"]
    # Each plugin of the libraries under test costs half a second per process.
    alone = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment = os.environ | {"PYTHONPATH": str(HOUSE)} | alone
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, rest = done.stdout.partition(" not run ")
    return [line for line in rest.splitlines()[1:] if line and not line.startswith("=")]


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_a_test_needs_is_named_before_how_slow_it_is(project: Path, processes: str) -> None:
    assert said(project, "-n", processes, "-m", "not patient and not moon") == [
        "1 patient: slow: it waits",
        "    python -m pytest -m patient checks",
        "1 moon: needs the moon",
        "    python -m pytest -m moon checks",
        "make test-all runs everything, the libraries' own suites and old versions included.",
    ]


def test_tests_deselected_by_hand_are_counted(project: Path) -> None:
    assert said(project, "-m", "not other")[0] == "1 left out by -k or -m"


def test_a_run_of_everything_has_no_such_section(project: Path) -> None:
    assert said(project) == []
