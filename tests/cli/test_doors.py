"""Error messages that guide: they name what is missing, and what to do about it."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from stack.running import free_port
from tests.cli.conftest import POOLSCOPE, SOURCE, Program
from tests.cli.waiting import eventually

pytestmark = [pytest.mark.processes, pytest.mark.regress]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with poolscope and its own requirements, but no HTTP library: as pipx and uvx install it."""
    directory = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    site = next(directory.glob("lib/python*/site-packages"))
    for package in ("click", "rich", "pygments", "markdown_it", "mdurl"):
        module = __import__(package)
        (site / package).symlink_to(Path(str(module.__file__)).parent)
    return str(directory / "bin" / "python")


def run(python: str, program: Program, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "poolscope", *words],
        env=program.environment(PYTHONPATH=SOURCE),
        cwd=program.directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_doctor_says_what_to_install(alone: str, program: Program) -> None:
    done = run(alone, program, "doctor")
    assert "pip install 'poolscope[requests]'" in done.stdout
    assert "nothing to watch" in done.stdout


def test_demo_says_what_to_install(alone: str, program: Program) -> None:
    done = run(alone, program, "demo")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'poolscope[demo]'" in done.stderr


def test_a_program_without_its_libraries_gets_a_hint(alone: str, program: Program) -> None:
    program.write("import requests")
    done = run(alone, program, "run", str(program.path))
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
    assert "requests is not installed beside poolscope" in done.stderr.splitlines()[-1]
    assert str(Path(alone).parent.parent) in done.stderr
    missing = run(alone, program, "run", "-m", "uvicorn")
    assert missing.returncode == 2
    assert "'uvicorn' beside poolscope" in missing.stderr


def test_report_points_to_view(program: Program) -> None:
    for words in (("report", "saved.jsonl"), ("report", "--json", "saved.jsonl")):
        done = program.poolscope(*words)
        assert done.returncode == 2
        assert "poolscope view saved.jsonl" in done.stderr


UVICORN = """
import os, requests
async def app(scope, receive, send):
    assert scope["type"] == "http"
    requests.get("{url}")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


@pytest.mark.parametrize("options", [["--workers", "2"], ["--reload"]], ids=" ".join)
def test_uvicorns_workers_are_seen_by_default(program: Program, options: list[str]) -> None:
    (program.directory / "service.py").write_text(
        UVICORN.replace("{url}", program.server.url("/fixed/")), encoding="utf-8"
    )
    port = free_port()
    command = [
        *POOLSCOPE,
        "run",
        "-m",
        "uvicorn",
        "--lifespan",
        "off",
        "--port",
        str(port),
        *options,
        "service:app",
    ]
    process = subprocess.Popen(
        command,
        env=program.environment(),
        cwd=program.directory,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )

    def answers() -> bool:
        try:
            # A worker that is slow to start answers even then, and what was given up would count too.
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                return bool(answer.read())
        except OSError:
            return False

    eventually(answers)
    asked = 1 + sum(answers() for _ in range(7))
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert asked == 8
    assert "8 requests · 8 connections" in stderr
    assert "not followed" not in stderr


def test_no_follow_opts_out(program: Program) -> None:
    program.write(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import requests; requests.get(\"{url}\")'])"
    )
    assert "1 request" in program.run().stderr
    out = program.run("--no-follow")
    assert "1 request" not in out.stderr
    assert "1 child process not followed" in out.stderr
