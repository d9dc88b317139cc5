"""Forked children always count, other children unless --no-follow is given; children left out are counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from poolscope import records
from poolscope.recording.child_env import pth_is_installed
from tests.cli.conftest import SOURCE, Program
from tests.cli.recorded import over, requests
from tests.cli.waiting import eventually

pytestmark = pytest.mark.processes

CALL = """
import os, sys, requests
def call(n=2):
    with requests.Session() as session:
        for _ in range(n):
            session.get("{url}")
call()
"""
FORKS = {
    "falls off the end": "pid = os.fork()\nif pid == 0:\n    call()\nelse:\n    os.waitpid(pid, 0)",
    "sys.exit": "pid = os.fork()\nif pid == 0:\n    call(); sys.exit(3)\nassert os.waitpid(pid, 0)[1] == 768",
    "os._exit": "pid = os.fork()\nif pid == 0:\n    call(); os._exit(3)\nassert os.waitpid(pid, 0)[1] == 768",
    "exception": "pid = os.fork()\nif pid == 0:\n    call(); 1/0\nassert os.waitpid(pid, 0)[1] == 256",
    "sigterm": "import signal\npid = os.fork()\nif pid == 0:\n    call(); os.kill(os.getpid(), 15)\n"
    "assert os.waitpid(pid, 0)[1] == 15",
    "grandchild": "pid = os.fork()\nif pid == 0:\n    inner = os.fork()\n    if inner == 0:\n        call()\n"
    "    else:\n        os.waitpid(inner, 0)\nelse:\n    os.waitpid(pid, 0)",
    "thread": "import threading\npid = os.fork()\nif pid == 0:\n    t = threading.Thread(target=call); t.start(); t.join()\n"
    "else:\n    os.waitpid(pid, 0)",
    "multiprocessing": "import multiprocessing as m\np = m.get_context('fork').Process(target=call)\np.start(); p.join()\n"
    "assert p.exitcode == 0",
    "pool": "import multiprocessing as m\nwith m.get_context('fork').Pool(1) as pool:\n    pool.apply(call)\n"
    "    pool.close(); pool.join()",
}


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS.keys())
def test_a_forked_child_counts_however_it_ends(
    program: Program, accepted: Callable[[], int], fork: str
) -> None:
    run = program.write(CALL + fork).run()
    assert run.returncode == 0, run.stderr
    assert "4 requests · 2 connections · 2 clients" in run.stderr
    assert accepted() == 2
    parent, child = program.of(records.Header)
    assert child.parent is not None
    assert {e.pid for e in program.of(records.Exchange)} == {parent.pid, child.pid}
    assert [s.requests for s in program.of(records.Summary)] == [2, 2]
    assert not Path(f"{program.saved}.children").exists()


def test_a_child_does_not_repeat_its_parents_facts(program: Program) -> None:
    program.write(
        CALL + "session = requests.Session(); session.get('{url}')\n"
        "pid = os.fork()\nif pid == 0:\n    call(); os._exit(0)\nos.waitpid(pid, 0)\nsession.close()"
    )
    program.run()
    parent = program.of(records.Header)[0].pid
    recorded = requests(program.saved)
    assert sorted(number for pid, number in recorded if pid == parent) == [1, 2, 3]
    assert len(recorded) == 5
    assert len({(c.pid, c.id) for c in program.of(records.Connection)}) == 3


def test_an_inherited_connection_is_marked(program: Program) -> None:
    program.write(
        "import os, requests\nsession = requests.Session(); session.get('{url}')\n"
        "pid = os.fork()\nif pid == 0:\n    session.get('{url}'); os._exit(0)\nos.waitpid(pid, 0)"
    )
    program.run()
    parent, child = program.of(records.Header)
    assert {c.inherited for c in program.of(records.Connection) if c.pid == child.pid} == {True}
    assert {c.inherited for c in program.of(records.Connection) if c.pid == parent.pid} == {False}
    for kind, named in ((records.Client, "client"), (records.Pool, "pool")):
        own = {one.id for one in program.of(kind) if one.pid == child.pid}
        assert {getattr(c, named) for c in program.of(records.Connection) if c.pid == child.pid} == own


def test_a_killed_child_keeps_what_was_flushed(program: Program) -> None:
    program.write(
        CALL + "import signal\npid = os.fork()\nif pid == 0:\n    call(); print('called', flush=True)\n"
        "    signal.pause()\nos.waitpid(pid, 0)\nprint('parent goes on')"
    )
    with program.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "called\n"
        spools = Path(f"{program.saved}.children")
        eventually(lambda: any(over(spool) == 2 for spool in spools.rglob("*.spool")))
        child = int(next(spools.rglob("*.spool")).stem.split("-")[1])
        os.kill(child, signal.SIGKILL)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "4 requests" in stderr
    assert program.poolscope("view", str(program.saved)).stdout in stderr


def test_the_file_of_a_killed_process_group_is_readable(program: Program) -> None:
    program.write(
        CALL
        + "import signal\npid = os.fork()\nif pid == 0:\n    call()\n    print(os.getpid(), flush=True)\n"
        "    signal.pause()\nos.waitpid(pid, 0)"
    )
    with program.start() as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        spools = Path(f"{program.saved}.children")
        eventually(lambda: any(over(spool) == 2 for spool in spools.rglob("*.spool")))
        eventually(lambda: over(program.saved) == 2)
        process.kill()
        os.kill(child, signal.SIGKILL)
        process.communicate(timeout=30)
    view = program.poolscope("view", str(program.saved))
    assert "4 requests · 2 connections" in view.stdout
    program.write("pass").run()
    assert not spools.exists(), "the next run to the same file clears what the killed one left"


def test_a_parent_that_only_forks_is_readable_while_it_runs(program: Program) -> None:
    program.write(
        CALL.removesuffix("call()\n") + "import signal\npid = os.fork()\nif pid == 0:\n    call()\n"
        "    print(os.getpid(), flush=True)\n    signal.pause()\nos.waitpid(pid, 0)"
    )
    with program.start() as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        spools = Path(f"{program.saved}.children")
        eventually(lambda: any(over(spool) == 2 for spool in spools.rglob("*.spool")))
        assert program.saved.read_text() == ""
        view = program.poolscope("view", str(program.saved))
        os.kill(child, signal.SIGTERM)
        process.communicate(timeout=30)
    assert view.returncode == 0
    assert "2 requests · 1 connection" in view.stdout
    assert "still running" in view.stderr


STARTED = {
    "subprocess": "import subprocess\nsubprocess.run([sys.executable, __file__, 'child'], check=True)",
    "without close_fds": "import subprocess\nsubprocess.run([sys.executable, __file__, 'child'], close_fds=False)",
    "shebang": "import subprocess\nopen('tool', 'w').write(f'#!{sys.executable}\\n' + open(__file__).read())\n"
    "os.chmod('tool', 0o755); subprocess.run(['./tool', 'child'], check=True)",
    "spawn": "import multiprocessing as m\nif __name__ == '__main__':\n"
    "    p = m.get_context('spawn').Process(target=call); p.start(); p.join()\n    assert p.exitcode == 0",
    "forkserver": "import multiprocessing as m\nif __name__ == '__main__':\n"
    "    p = m.get_context('forkserver').Process(target=call); p.start(); p.join()\n    assert p.exitcode == 0",
}
STARTING = """
import os, sys, requests
def call(n=2):
    with requests.Session() as session:
        for _ in range(n):
            session.get("{url}")
if sys.argv[1:] == ["child"]:
    call(); sys.exit()
if __name__ == "__main__":
    call()
"""


@pytest.mark.parametrize("start", STARTED.values(), ids=STARTED.keys())
def test_other_children_count(program: Program, accepted: Callable[[], int], start: str) -> None:
    start = "\n".join("    " + line for line in start.splitlines()) if "__main__" not in start else start
    run = program.write(STARTING + start).run()
    assert run.returncode == 0, run.stderr
    assert "4 requests · 2 connections · 2 clients" in run.stderr
    assert "not followed" not in run.stderr
    assert accepted() == 2
    assert program.poolscope("view", str(program.saved)).stdout == run.stderr


@pytest.mark.parametrize("start", STARTED.values(), ids=STARTED.keys())
def test_with_no_follow_they_are_counted_as_left_out(program: Program, start: str) -> None:
    start = "\n".join("    " + line for line in start.splitlines()) if "__main__" not in start else start
    run = program.write(STARTING + start).run("--no-follow")
    assert run.returncode == 0, run.stderr
    assert "2 requests · 1 connection · 1 client" in run.stderr
    assert "1 child process not followed" in run.stderr
    assert program.summary().children_not_followed == 1


def test_programs_without_poolscope_are_not_counted_as_children(program: Program) -> None:
    program.write(
        "import subprocess, os\nsubprocess.run(['true'])\nos.system('true')\nos.posix_spawn('/bin/true', ['x'], {})"
    )
    program.run()
    assert program.summary().children_not_followed == 0


@pytest.mark.parametrize("how", ["-S", "-I", "-E"])
def test_isolated_children_are_counted_as_well(program: Program, how: str) -> None:
    program.write(f"import subprocess, sys\nsubprocess.run([sys.executable, {how!r}, '-c', ''])")
    program.run()
    # Where poolscope is installed, its .pth file is read even with -I and -E.
    followed = how != "-S" and pth_is_installed()
    assert program.summary().children_not_followed == (0 if followed else 1)


def test_a_cleared_environment_is_counted(program: Program) -> None:
    program.write("import subprocess, sys\nsubprocess.run([sys.executable, '-c', ''], env={})")
    program.run()
    assert program.summary().children_not_followed == 1


def test_a_sitecustomize_that_ours_hides_still_runs(program: Program) -> None:
    (program.directory / "sitecustomize.py").write_text("import builtins; builtins.customized = True")
    program.write(
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(customized)'], check=True)"
    )
    path = os.pathsep.join([str(program.directory), SOURCE])
    run = program.run(env={"PYTHONPATH": path})
    assert run.stdout == "True\n"


def test_the_variable_does_the_same_without_run(
    program: Program, installed: tuple[str, dict[str, str]], accepted: Callable[[], int]
) -> None:
    python, environment = installed
    program.write(
        CALL
        + "import subprocess\nif len(sys.argv) == 1:\n    subprocess.run([sys.executable, __file__, 'child'])\n"
        "    pid = os.fork()\n    if pid == 0:\n        call(); os._exit(0)\n    os.waitpid(pid, 0)"
    )
    environment = program.environment(**environment, POOLSCOPE=f"--save {program.saved}")
    run = subprocess.run(
        [python, str(program.path)], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert "6 requests · 3 connections · 3 clients" in run.stderr
    assert run.stderr.count("total ") == 1
    assert accepted() == 3
    program.write("print('no connection')")
    run = subprocess.run(
        [python, str(program.path)], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stderr == ""


def test_an_invalid_variable_is_reported_in_one_line(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    python, environment = installed
    run = subprocess.run(
        [python, "-c", "print('ran')"],
        env=program.environment(**environment, POOLSCOPE="--wat"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout == "ran\n"
    assert run.stderr.count("\n") == 1


SUBINTERPRETER = """
import requests
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
requests.get("{url}")
number = interpreters.create("legacy") if hasattr(interpreters, "get_config") else interpreters.create(isolated=False)
interpreters.run_string(number, "import urllib3; print(urllib3.PoolManager().request('GET', '{url}').status)")
interpreters.destroy(number)
"""


def test_a_subinterpreter_is_left_alone(program: Program, installed: tuple[str, dict[str, str]]) -> None:
    """It reads the .pth as well; a thread of ours in it would kill the process."""
    python, environment = installed
    program.write(SUBINTERPRETER)
    run = subprocess.run(
        [python, str(program.path)],
        env=program.environment(**environment, POOLSCOPE=f"--quiet --save {program.saved}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "200\n", "")
    assert program.summary().requests == 1


ISOLATED = "import subprocess, sys\nsubprocess.run([sys.executable, {how}, '-c', {call!r}], check=True)"


@pytest.mark.parametrize(("how", "followed"), [("-I", True), ("-E", True), ("-S", False)])
def test_installed_poolscope_needs_only_the_site_module(
    program: Program, installed: tuple[str, dict[str, str]], how: str, followed: bool
) -> None:
    python, environment = installed
    path = "import sys; sys.path += %r; " % [entry for entry in sys.path if "site-packages" in entry]
    call = f"{path}import urllib3; urllib3.PoolManager().request('GET', '{{url}}')"
    program.write(ISOLATED.replace("{how}", repr(how)).replace("{call!r}", repr(call)))
    command = [python, "-m", "poolscope", "run", "--quiet", "--save", str(program.saved)]
    run = subprocess.run(
        [*command, str(program.path)],
        env=program.environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stderr == ""
    assert over(program.saved) == followed
    assert program.summary().children_not_followed == (not followed)


BECOMES_ANOTHER = """
import os, sys, urllib3
if sys.argv[1:] != ["second"]:
    if sys.argv[1:] == ["first"]:
        urllib3.PoolManager().request("GET", "{url}1")
    os.execv(sys.executable, [sys.executable, __file__, "second"])
for number in (2, 3):
    urllib3.PoolManager().request("GET", "{url}2")
"""


def test_with_the_variable_the_next_program_is_the_first_again(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    """Like a launcher (opentelemetry-instrument, ddtrace-run) that becomes the program by exec."""
    python, environment = installed
    program.write(BECOMES_ANOTHER)
    run = subprocess.run(
        [python, str(program.path)],
        env=program.environment(**environment, POOLSCOPE=f"--save {program.saved}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "2 requests · 2 connections · 2 clients" in run.stderr
    assert program.summary().requests == 2


def test_a_program_and_what_it_becomes_by_exec_are_kept_apart(
    program: Program, installed: tuple[str, dict[str, str]]
) -> None:
    python, environment = installed
    program.write(BECOMES_ANOTHER)
    command = [python, "-m", "poolscope", "run", "--save", str(program.saved)]
    run = subprocess.run(
        [*command, str(program.path), "first"],
        env=program.environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stderr == ""
    viewed = program.poolscope("view", str(program.saved))
    assert "1 request · 1 connection · 1 client" in viewed.stdout
