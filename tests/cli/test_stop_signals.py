"""A process that gets a second stop signal while it is stopping loses no records."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tests.cli.recorded import over
from tests.cli.waiting import eventually

pytestmark = [pytest.mark.processes, pytest.mark.regress]

POOL = """
import multiprocessing, requests
def work(number):
    return requests.get("{url}", timeout=60).status_code
if __name__ == "__main__":
    for _ in range(6):
        with multiprocessing.get_context("fork").Pool(4) as pool:
            assert pool.map(work, range(10)) == [200] * 10
"""


def test_a_pool_that_terminates_its_workers_loses_none_of_their_requests(program: Program) -> None:
    run = program.write(POOL).run()
    assert run.returncode == 0, run.stderr
    assert "total  60 requests · 60 connections" in run.stderr
    assert over(program.saved) == 60


STORM = """
import os, requests, signal, subprocess, sys, time
for _ in range(200):
    requests.get("{url}")
code = "import os, sys\\nfor _ in range(20000):\\n  try: os.kill(int(sys.argv[1]), 15)\\n  except OSError: break"
subprocess.Popen([sys.executable, "-S", "-c", code, str(os.getpid())])
time.sleep(30)
"""


def test_a_storm_of_sigterms_counts_as_one(program: Program) -> None:
    run = program.write(STORM).run()
    assert run.returncode == -signal.SIGTERM
    assert "200 requests · 200 connections" in run.stderr
    assert program.saved.read_text().splitlines()[-1].startswith('{"type":"summary"')


MANY_LINES = """
import urllib3
http = urllib3.PoolManager()
""" + "".join(
    f"def f{n}():\n    urllib3.PoolManager().request('GET', '{{url}}')\nf{n}()\n" for n in range(40)
)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_waits_for_the_report(program: Program, name: str) -> None:
    """Nobody reads stderr at first, so the report blocks in the middle; the signal comes there."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    hears = partial(
        signal.signal, getattr(signal, name), signal.SIG_DFL
    )  # under nohup, children ignore SIGHUP
    process = program.write(MANY_LINES).start(stderr=writer, stdout=subprocess.DEVNULL, preexec_fn=hears)
    os.close(writer)
    eventually(lambda: program.saved.exists() and '"type":"summary"' in program.saved.read_text())
    eventually(lambda: state_of(process.pid) == "S")
    process.send_signal(getattr(signal, name))
    with open(reader, encoding="utf-8") as stderr:
        assert "total  40 requests · 40 connections" in stderr.read()
    assert process.wait(timeout=30) == -getattr(signal, name)


def state_of(pid: int) -> str:
    """The kernel's state of the process: S while it sleeps."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


THREADS = """
import os, requests, threading
requests.get("{url}")
def leave():
    os._exit(7)
threading.Thread(target=leave).start()
os._exit(7)
"""


def test_two_exiting_threads_wait_for_the_writer(program: Program) -> None:
    for _ in range(5):
        run = program.write(THREADS).run()
        assert run.returncode == 7
        assert "1 request · 1 connection" in run.stderr


LEAVES_LATE = (
    MANY_LINES
    + """
import os, pathlib, sys, threading, time
def leave_late():
    while '"type":"summary"' not in pathlib.Path(sys.argv[1]).read_text():
        time.sleep(0.01)
    open(sys.argv[2], "w").close()
    os._exit(7)
threading.Thread(target=leave_late).start()
os._exit(7)
"""
)


def test_a_thread_that_exits_while_the_report_is_printed_waits_for_it(program: Program) -> None:
    """Nobody reads stderr until then, so the report blocks in the middle."""
    leaving = program.directory / "leaving"
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    command = [*program.write(LEAVES_LATE).command(), str(program.saved), str(leaving)]
    process = subprocess.Popen(command, env=program.environment(), stderr=writer)
    os.close(writer)
    eventually(leaving.exists)
    eventually(lambda: state_of(process.pid) == "S")
    with open(reader, encoding="utf-8") as stderr:
        assert "total  40 requests · 40 connections" in stderr.read()
    assert process.wait(timeout=30) == 7


FULL = """
import os, requests, resource, sys
pid = os.fork()
if pid == 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
    import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for _ in range(20):
        requests.get("{url}")
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_what_a_child_could_not_write_is_reported(program: Program) -> None:
    run = program.write(FULL).run()
    assert run.returncode == 0
    assert "are not complete: File too large" in run.stderr
