"""Saved files and reports belong to one process each, wherever they are, and can all be read together."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from typing import Any

import pytest

from tests.cli.conftest import POOLSCOPE, Program
from tests.cli.recorded import over
from tests.cli.waiting import eventually

pytestmark = [pytest.mark.processes, pytest.mark.regress]

SERVICE = """
import requests, signal, sys
for _ in range(3):
    requests.get("{url}")
print("ready", flush=True)
sys.stdin.read()
"""
PIPES: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
OTHER = "import requests\nrequests.get('{url}')\n"


class Service:
    """A program that runs until its standard input ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    def end(self) -> str:
        """End it; returns its stderr."""
        _, stderr = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return stderr


def service(program: Program, *options: str) -> Service:
    path = program.directory / "service.py"
    path.write_text(SERVICE.replace("{url}", program.server.url("/fixed/")))
    command = [*POOLSCOPE, "run", *options, str(path)]
    return Service(
        subprocess.Popen(command, env=program.environment(), cwd=program.directory, text=True, **PIPES)
    )


def test_a_second_process_gets_its_own_file(program: Program) -> None:
    first = service(program, "--save", str(program.saved))
    second = program.write(OTHER).run()
    beside = program.directory / "saved.2.jsonl"
    assert f"--save '{program.saved}' is being written by another process" in second.stderr
    assert str(beside) in second.stderr
    assert "3 requests" in first.end()
    assert (over(program.saved), over(beside)) == (3, 1)
    both = program.poolscope("view", str(program.saved), str(beside))
    assert (both.returncode, both.stderr) == (0, "")
    assert "4 requests · 4 connections" in both.stdout


def test_the_report_gets_its_own_file_as_well(program: Program) -> None:
    report = program.directory / "report.txt"
    first = service(program, "-o", str(report))
    program.write(OTHER).poolscope("run", "-o", str(report), str(program.path))
    first.end()
    assert "3 requests" in report.read_text()
    assert "1 request ·" in (program.directory / "report.2.txt").read_text()


def test_a_finished_recording_is_replaced_and_so_is_a_killed_one(program: Program) -> None:
    program.write(OTHER).run()
    first = service(program, "--save", str(program.saved))
    first.process.kill()
    first.process.communicate(timeout=30)
    run = program.run()
    assert "being written" not in run.stderr
    assert over(program.saved) == 1
    beside = program.directory / "saved.2.jsonl"
    assert not beside.exists()
    live = service(program, "--save", str(program.saved))
    program.run()
    live.end()
    assert over(beside) == 1


def test_a_name_with_the_process_number_replaces_nothing(program: Program) -> None:
    process = program.write(OTHER + "import os; print(os.getpid())").poolscope(
        "run", "--quiet", "--save", "calls-%p.jsonl", str(program.path)
    )
    assert over(program.directory / f"calls-{process.stdout.strip()}.jsonl") == 1


def test_a_folder_means_all_recordings_in_it(program: Program) -> None:
    folder = program.directory / "recordings"
    folder.mkdir()
    (folder / "notes.txt").write_text("not ours")
    for name in ("a.jsonl", "b.jsonl"):
        program.write(OTHER).poolscope("run", "--quiet", "--save", str(folder / name), str(program.path))
    view = program.poolscope("view", str(folder))
    assert (view.returncode, view.stderr) == (0, "")
    assert "2 requests · 2 connections" in view.stdout


def test_several_runs_have_no_common_duration(program: Program) -> None:
    code = OTHER.replace("{url}", program.server.url("/fixed/")) * 5
    program.write(code).run()
    other = program.directory / "other.jsonl"
    program.poolscope("run", "--quiet", "--save", str(other), "-c", code)
    one = " ".join(program.poolscope("view", str(program.saved)).stdout.split())
    both = " ".join(program.poolscope("view", str(other), str(program.saved)).stdout.split())
    assert re.search(r"the run took|s of \d", one.partition(" · Python ")[0])
    assert not re.search(r"the run took|s of \d", both.partition(" · Python ")[0])
    assert "of the run's" not in both
    assert f"{program.path.name}, python -c · Python" in both
    assert " · 2 runs files below" in both


def test_processes_with_the_same_pid_are_kept_apart(program: Program) -> None:
    """As in two containers, where the program is process 1 in both."""
    program.write(OTHER).run()
    copy = program.directory / "copy.jsonl"
    copy.write_text(program.saved.read_text())
    view = program.poolscope("view", str(program.saved), str(copy))
    assert "2 requests · 2 connections · 2 clients" in view.stdout


def test_a_recording_goes_through_pipes(program: Program) -> None:
    run = program.write(OTHER).run()
    view = program.poolscope("view", "-", input=program.saved.read_text())
    assert (view.stdout, view.stderr, view.returncode) == (run.stderr, "", 0)
    cut = program.poolscope("view", "-", input=program.saved.read_text()[:-30])
    assert "cut off" in cut.stderr
    assert "1 request" in cut.stdout


@pytest.mark.parametrize("quiet", [False, True])
def test_the_report_goes_to_stdout(program: Program, quiet: bool) -> None:
    program.write("print('before')\n" + OTHER)
    options = ["--quiet"] if quiet else []
    run = program.poolscope("run", *options, "-o", "-", str(program.path))
    assert run.stdout.startswith("before\npoolscope  1 request, on a new connection;")
    assert " program.py · Python" in run.stdout
    assert run.stderr == ""
    assert not (program.directory / "-").exists()


def test_a_fifo_is_opened_once(program: Program) -> None:
    fifo = program.directory / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()), daemon=True)
    reader.start()
    run = program.write(OTHER + "import time; time.sleep(1.5)\nrequests.get('{url}')").poolscope(
        "run", "--save", str(fifo), str(program.path)
    )
    reader.join(60)
    assert "2 requests" in run.stderr
    assert "not complete" not in run.stderr
    copy = program.directory / "copy"
    copy.write_text(read[0])
    assert over(copy) == 2
    assert copy.read_text().splitlines()[-1].startswith('{"type":"summary"')


def test_a_slow_or_vanished_reader_does_no_harm(program: Program) -> None:
    fifo = program.directory / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    program.write("import requests\nfor _ in range(300):\n    requests.get('{url}')\nprint('done')")
    try:
        run = program.poolscope("run", "--quiet", "--save", str(fifo), str(program.path))
    finally:
        os.close(reader)
    assert (run.stdout, run.returncode) == ("done\n", 0)
    assert "is not complete: nobody reads it" in run.stderr


def test_a_fifo_without_a_reader_does_not_block_a_service(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    python, environment = installed
    fifo = program.directory / "fifo"
    os.mkfifo(fifo)
    run = subprocess.run(
        [python, "-c", "print('ran')"],
        env=program.environment(**environment, POOLSCOPE=f"--save {fifo}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout == "ran\n"
    assert "nobody reads it" in run.stderr


def test_another_command_with_the_services_variable_is_quiet_and_takes_no_file(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    """The variable is in a container's ENV, so `manage.py check` gets it as well."""
    python, environment = installed
    variable = program.environment(**environment, POOLSCOPE=f"--save {program.saved}")
    path = program.directory / "service.py"
    path.write_text(SERVICE.replace("{url}", program.server.url("/fixed/")))
    first = Service(subprocess.Popen([python, str(path)], env=variable, text=True, **PIPES))
    quiet = subprocess.run([python, "-c", "pass"], env=variable, capture_output=True, text=True, check=True)
    assert quiet.stderr == ""
    program.write(OTHER)
    loud = subprocess.run(
        [python, str(program.path)], env=variable, capture_output=True, text=True, check=True
    )
    assert loud.stderr.count("is being written by another process") == 1
    assert "3 requests" in first.end()
    assert sorted(path.name for path in program.directory.glob("saved*")) == ["saved.2.jsonl", "saved.jsonl"]
    assert over(program.saved) == 3


OUTLIVED = """
import os, requests, subprocess, sys
code = "import requests, sys\\nrequests.get('{url}')\\nprint('called', flush=True)\\nsys.stdin.read()\\nrequests.get('{url}')"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
assert child.stdout.readline() == b"called\\n"
requests.get("{url}")
import glob, time
while not any('"exchange"' in open(spool).read() for spool in glob.glob("saved.jsonl.children/*/*.spool")):
    time.sleep(0.02)
"""


def test_view_shows_a_spawned_service_that_outlives_its_parent(program: Program) -> None:
    process = program.write(OUTLIVED).start("--follow", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.wait(timeout=30) == 0
    view = program.poolscope("view", str(program.saved))
    assert "2 requests · 2 connections" in view.stdout
    process.stdin.close()
    eventually(lambda: "3 requests" in program.poolscope("view", str(program.saved)).stdout)
    assert process.stdout is not None
    process.stdout.close()


def test_live_and_killed_are_distinguished(program: Program) -> None:
    first = service(program, "--save", str(program.saved))
    eventually(lambda: over(program.saved) == 3)
    live = program.poolscope("view", str(program.saved))
    first.process.kill()
    first.process.communicate(timeout=30)
    killed = program.poolscope("view", str(program.saved))
    assert "the program is still running" in live.stderr
    assert "was killed" not in live.stderr + live.stdout
    assert "no end recorded" not in live.stdout
    assert "the program was killed" in killed.stderr
    assert "running" not in killed.stderr + killed.stdout


CLOSES_ALL = (
    OTHER
    + """
import os, time
os.closerange(3, 4096)
mine = [open(f"mine{n}", "w") for n in range(100)]
time.sleep(1.2)
requests.get("{url}")
for file in mine:
    file.close()
    assert open(file.name).read() == ""
"""
)


def test_a_program_that_closes_all_descriptors_keeps_its_recording(program: Program) -> None:
    run = program.write(CLOSES_ALL).run()
    assert run.returncode == 0, run.stderr
    assert over(program.saved) == 2
    first = service(program, "--save", str(program.saved))
    assert "being written" in program.write(OTHER).run().stderr
    first.end()


def test_a_file_that_was_moved_away_gets_the_rest(program: Program) -> None:
    """As logrotate does."""
    first = service(program, "--save", str(program.saved))
    moved = program.saved.rename(program.directory / "moved.jsonl")
    first.end()
    assert not program.saved.exists()
    assert "3 requests" in program.poolscope("view", str(moved)).stdout


def test_many_processes_that_start_at_once_share_no_file(program: Program) -> None:
    program.write(OTHER + "import sys; sys.stdin.read()")
    processes = [program.start(stdin=subprocess.PIPE) for _ in range(6)]
    eventually(lambda: sum(over(path) for path in program.directory.glob("saved*.jsonl")) == 6)
    for process in processes:
        process.communicate(timeout=60)
    files = sorted(program.directory.glob("saved*.jsonl"))
    assert [over(path) for path in files] == [1] * 6
    assert "6 requests · 6 connections" in program.poolscope("view", str(program.directory)).stdout
