"""Commands beside a run: a full disk, closed streams, a deleted folder, signals. One line, and the status of a program."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import POOLSCOPE, Program
from tests.cli.waiting import eventually

pytestmark = pytest.mark.processes


@pytest.fixture
def saved(program: Program) -> Path:
    program.write("import urllib3\nurllib3.PoolManager().request('GET', '{url}')\n").run("--quiet")
    return program.saved


@pytest.mark.parametrize("words", ["view saved.jsonl", "explain PS101", "--help"])
def test_a_full_disk_under_stdout_is_one_line(program: Program, saved: Path, words: str) -> None:
    with open("/dev/full", "w") as full:
        done = program.poolscope(*words.split(), stdout=full)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("No space left on device")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", ["view nothing.jsonl", "run nothing.py", "--nothing"])
def test_the_status_is_the_same_when_stderr_cannot_be_written(program: Program, words: str) -> None:
    with open("/dev/full", "w") as full:
        assert program.poolscope(*words.split(), stderr=full).returncode == 2
    closed = program.poolscope(*words.split(), preexec_fn=lambda: os.close(2), stderr=None)
    assert closed.returncode == 2


def test_a_closed_stdin_is_one_line(program: Program) -> None:
    done = program.poolscope("view", "-", preexec_fn=lambda: os.close(0))
    assert (done.returncode, done.stderr) == (2, "poolscope: can't read standard input: it is closed\n")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_command_as_it_ends_programs(program: Program, saved: Path, name: str) -> None:
    """It reads what never ends, and has begun to write a file."""
    number = getattr(signal, name)
    command = [*POOLSCOPE, "view", "-", "--format", "html", "-o", "page.html"]
    process = subprocess.Popen(
        command, env=program.environment(), cwd=program.directory, text=True, stdin=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    eventually(lambda: any(program.directory.glob("page.html.*.part")))
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (-number, "")
    assert not list(program.directory.glob("page.html*"))


SIGNALLED = """
import os, signal, sys
from poolscope.cli.main import main

after, number = map(int, sys.argv[1:])
begun, part = False, f"page.html.{os.getpid()}.part"

def profile(frame, event, function):
    global after, begun
    begun = begun or frame.f_code.co_name == "_replacing"
    if begun and event == "c_return" and os.path.exists(part):
        after -= 1
        if not after:
            sys.setprofile(None)
            print(function.__name__, frame.f_code.co_name, flush=True)
            signal.raise_signal(number)

sys.setprofile(profile)
main(["view", "-", "--format", "html", "-o", "page.html"])
"""
"""Gets a signal when the n-th function of Python itself returns after the file was begun."""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_may_come_as_soon_as_the_file_is_there(program: Program, name: str) -> None:
    number = getattr(signal, name)
    program.write(SIGNALLED)
    moments = []
    for after in range(1, 6):
        done = program.bare(str(after), str(int(number)), stdin=subprocess.DEVNULL)
        moments.append(done.stdout.strip())
        assert (done.returncode, done.stderr) == (-number, ""), moments
        assert not list(program.directory.glob("page.html*")), moments
    assert moments[0] == "open _replacing"
    assert moments.count("next __enter__") == 2, "the file's context and the one around it"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("view {saved}", 0),
        ("view {saved} --format sarif", 0),
        ("diff {saved} {saved}", 0),
        ("lint {program}", 0),
        ("run -m timeit -n1 -r1 pass", 0),
        ("view {saved} -o page.html", 2),
        ("run --save more.jsonl {program}", 2),
        ("lint .", 2),
        ("view .", 2),
    ],
)
def test_in_a_deleted_folder(program: Program, saved: Path, words: str, status: int) -> None:
    deleted = program.directory / "deleted"

    def goes_there() -> None:
        deleted.mkdir()
        os.chdir(deleted)
        shutil.rmtree(deleted)

    command = words.format(saved=saved, program=program.path).split()
    done = program.poolscope(*command, preexec_fn=goes_there)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 or not status


@pytest.mark.parametrize(
    "words",
    [
        "view saved.jsonl -o saved.jsonl",
        "view saved.jsonl -o ./saved.jsonl",
        "view saved.jsonl -o link.jsonl",
        "view . -o saved.jsonl",
        "view saved.jsonl --write-baseline saved.jsonl",
        "view . --write-baseline link.jsonl",
        "view - -o saved.jsonl",
        "view - --write-baseline saved.jsonl",
    ],
)
def test_nothing_replaces_a_recording_that_is_read(program: Program, saved: Path, words: str) -> None:
    recorded = saved.read_text()
    (program.directory / "link.jsonl").symlink_to(saved)
    with saved.open() as file:
        done = program.poolscope(*words.split(), stdin=file)
    *_, option, name = words.split()
    assert done.stderr == f"poolscope: {option} {name!r} is the recording itself, and would replace it\n"
    assert done.returncode == 2
    assert saved.read_text() == recorded


def test_a_baseline_does_not_replace_the_report(program: Program, saved: Path) -> None:
    for baseline in ("report.json", "./report.json"):
        done = program.poolscope(
            "view", str(saved), "--json", "-o", "report.json", "--write-baseline", baseline
        )
        assert done.stderr == f"poolscope: --write-baseline {baseline!r} would replace what -o writes\n"
        assert done.returncode == 2
    assert not (program.directory / "report.json").exists()


def test_a_baseline_does_not_replace_a_source(program: Program) -> None:
    source = program.write("import requests\n").path.read_text()
    done = program.poolscope("lint", ".", "--write-baseline", str(program.path))
    assert done.stderr.endswith("is the source itself, and would replace it\n")
    assert (done.returncode, program.path.read_text()) == (2, source)
