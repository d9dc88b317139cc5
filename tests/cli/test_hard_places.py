"""A full disk, a file system without locks, containers that share a volume."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import POOLSCOPE, Program
from tests.cli.recorded import over
from tests.cli.test_files import PIPES, SERVICE, Service
from tests.cli.waiting import eventually, read_until

pytestmark = [pytest.mark.processes, pytest.mark.regress]

CHILDREN = """
import os, requests
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        for _ in range(40):
            requests.get("{url}")
        os._exit(0)
    os.waitpid(pid, 0)
print("done")
"""


@pytest.mark.root
def test_a_recording_on_a_disk_that_filled_up_is_readable(program: Program) -> None:
    program.write(CHILDREN)
    disk = program.directory / "disk"
    disk.mkdir()
    saved = disk / "saved.jsonl"
    run = " ".join([*POOLSCOPE, "run", "--quiet", "--save", str(saved), str(program.path)])
    view = " ".join([*POOLSCOPE, "view", str(saved)])
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", f"mount -t tmpfs -o size=40k none {disk} && {run} && {view}"],
        env=program.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done\n")
    assert "is not complete: No space left on device" in done.stderr
    total = done.stdout[done.stdout.index("total  ") :].split()
    assert int(total[1]) > 5, "what fitted on the disk is shown"


@pytest.mark.root
def test_containers_that_share_a_volume_share_no_file(program: Program) -> None:
    """Each program is process 1 or 2 of its own container."""
    program.write("import requests, sys\nrequests.get('{url}')\nsys.stdin.read()")
    command = ["unshare", "-p", "-f", "--mount-proc", *program.command()]
    containers = [
        subprocess.Popen(
            command,
            env=program.environment(),
            cwd=program.directory,
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    eventually(lambda: sum(map(over, program.directory.glob("saved*.jsonl"))) == 3)
    for container in containers:
        container.communicate(timeout=30)
    view = program.poolscope("view", str(program.directory))
    assert "3 requests · 3 connections · 3 clients" in view.stdout
    assert "3 processes" in view.stdout


FIRST_OF_A_CONTAINER = """
import os, requests, sys
assert os.getpid() == 1
requests.get("{url}")
print("ready", flush=True)
sys.stdin.readline()
requests.get("{url}")
print("went on", flush=True)
"""


@pytest.mark.root
def test_the_first_process_of_a_container_goes_on_after_a_sigterm(program: Program) -> None:
    """The kernel ignores signals without a handler for process 1; our handler must not end its recording."""
    program.write(FIRST_OF_A_CONTAINER)
    outside = subprocess.Popen(
        ["unshare", "-p", "-f", "--mount-proc", *program.command()],
        env=program.environment(),
        cwd=program.directory,
        text=True,
        **PIPES,
    )
    assert outside.stdout is not None
    assert outside.stdout.readline() == "ready\n"
    (inside,) = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
    os.kill(int(inside), signal.SIGTERM)
    assert outside.stderr is not None
    read_until(outside.stderr, "total  1 request ")
    stdout, stderr = outside.communicate("\n", timeout=30)
    assert (stdout, outside.returncode) == ("went on\n", 0)
    assert "total  2 requests" in stderr
    assert over(program.saved) == 2


NO_LOCKS = """
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""


def test_without_locks_a_recording_without_an_end_is_left_alone(program: Program) -> None:
    """As on some network file systems; there is none here, so the test makes the call fail as it would there."""
    (program.directory / "sitecustomize.py").write_text(NO_LOCKS)
    path = os.pathsep.join([str(program.directory), program.environment()["PYTHONPATH"]])
    environment = program.environment(PYTHONPATH=path)
    script = program.directory / "service.py"
    script.write_text(SERVICE.replace("{url}", program.server.url("/fixed/")))
    command = [*POOLSCOPE, "run", "--save", str(program.saved), str(script)]
    first = Service(subprocess.Popen(command, env=environment, text=True, **PIPES))
    program.write("import requests\nrequests.get('{url}')")
    second = program.run(env={"PYTHONPATH": path})
    assert "may be written by another process" in second.stderr
    first.end()
    assert over(program.saved) == 3
    assert over(Path(program.directory / "saved.2.jsonl")) == 1
    assert "written by another" not in program.run(env={"PYTHONPATH": path}).stderr
    assert over(program.saved) == 1
