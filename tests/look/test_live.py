"""``--live``: a look into a process, which goes on undisturbed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from poolscope.cli import top
from poolscope.look import client
from poolscope.look.server import LiveSocket
from poolscope.look.sockets import ENDING, LONGEST, folders, is_private, sockets
from tests.cli.conftest import POOLSCOPE
from tests.cli.waiting import eventually
from tests.look.conftest import HELD, holds_and_waits

pytestmark = pytest.mark.processes


def test_a_look_names_the_lines_that_hold_the_pool_and_that_wait(watched) -> None:
    process = watched.starts(HELD)
    look = watched.look_when(holds_and_waits, process.pid)

    [pool] = look["pools"]
    assert (pool["kind"], pool["limit"], pool["taken"], pool["waiting"]) == ("httpx.Client", 1, 1, 1)
    [holder] = look["holders"]
    assert (holder["state"], holder["call_site"]["line"]) == ("reading", 7)
    [waiter] = look["waiters"]
    assert (waiter["state"], waiter["call_site"]["line"]) == ("waiting", 10)
    assert 0 < waiter["waited"] <= holder["held"]
    assert waiter["pool"] == holder["pool"] == pool["pool"]

    # A late look finds PS105 as well, as the wait goes on.
    finding = next(each for each in look["findings"] if each["code"] == "PS101")
    assert (finding["code"], finding["count"], finding["call_site"]["line"]) == ("PS101", 5, 14)
    totals = look["totals"]
    assert (totals["open"], totals["active"], totals["waiting"]) == (1, 1, 1)
    assert totals["opened"] == 6
    assert "canary" not in json.dumps(look), "no path and no query leaves the process"
    assert [one["program"] for one in look["processes"]] == ["program.py"]


def test_only_its_user_can_use_the_socket_which_ends_with_the_program(watched) -> None:
    watched.write("import sys; sys.stdin.read()")
    process = subprocess.Popen(
        [*POOLSCOPE, "run", "--live", "--quiet", str(watched.path)],
        env=watched.environment(),
        stdin=subprocess.PIPE,
    )
    eventually(lambda: len(watched.sockets) == 1)
    [socket] = watched.sockets
    assert socket.name.startswith(f"{process.pid}-")
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    process.communicate()
    assert not watched.sockets


def test_no_look_is_possible_without_live(watched) -> None:
    watched.write('import httpx, os; httpx.get("{url}"); print(*os.listdir(os.environ["XDG_RUNTIME_DIR"]))')
    assert watched.run().stdout == "\n"
    answer = watched.top("--json", str(os.getpid()))
    assert answer.returncode == 2
    assert (
        answer.stderr
        == f"poolscope: process {os.getpid()} is not recorded live: it was started without --live, or with another XDG_RUNTIME_DIR\n"
    )


FAMILY = """
import os, httpx
client = httpx.Client()
client.get("{url}")
for _ in range(2):
    if os.fork() == 0:
        client = httpx.Client()
        for _ in range(3):
            client.get("{url}")
        break
else:
    client.get("{url}")
import signal
signal.pause()
"""


def test_the_variable_watches_child_processes_too_and_shows_one_program(watched, installed) -> None:
    python, environment = installed
    process = watched.starts_by_variable(FAMILY, "--live --quiet", python, **environment)
    look = watched.look_when(
        lambda look: (look["totals"]["requests"], look["totals"]["active"]) == (8, 0), process.pid
    )
    watched.others += [one["pid"] for one in look["processes"] if one["parent"]]
    assert len(look["processes"]) == 3
    assert sorted(one["parent"] or 0 for one in look["processes"]) == [0, process.pid, process.pid]
    [origin] = look["origins"]
    assert (origin["requests"], origin["open"], origin["reused"]) == (8, 3, 5)
    child = next(one for one in look["processes"] if one["parent"])
    alone = watched.look(child["pid"])
    assert alone["totals"]["requests"] == 3


def test_a_finding_from_before_the_first_look_has_no_age(watched) -> None:
    done = watched.path.with_name("done")
    process = watched.starts(f"{HELD}open({str(done)!r}, 'w').close()")
    eventually(done.exists)
    first = json.loads(watched.top("--json", str(process.pid)).stdout)
    seen = {finding["code"]: finding["seen"] for finding in first["findings"]}
    assert seen.pop("PS101") is None
    assert set(seen.values()) <= {None}, "PS105, if a second has passed"


def test_the_folder_of_the_sockets_does_not_depend_on_tmpdir(monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/scratch")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert list(folders(5)) == ["/run/user/5/poolscope", "/tmp/poolscope-5", "/scratch/poolscope-5"]


def test_a_socket_with_an_invalid_number_is_not_ours(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "poolscope").mkdir(mode=0o700)
    (tmp_path / "poolscope" / f"²-x{ENDING}").touch()
    assert not [place for place in sockets(os.geteuid()) if place.path.startswith(str(tmp_path))]


@pytest.mark.parametrize("wrong", ["nan", "0", "-1", "inf", "1e9", "soon"])
def test_an_interval_is_a_number_of_seconds(watched, wrong: str) -> None:
    answer = watched.top("--json", "--every", wrong)
    assert answer.returncode == 2
    assert "Invalid value for '--every'" in answer.stderr


def test_only_the_requested_servers_are_shown(watched) -> None:
    process = watched.starts(HELD, "--origin", "elsewhere.example")
    look = watched.look_when(lambda look: True, process.pid)
    assert (look["origins"], look["holders"], look["lanes"]) == ([], [], [])


def test_json_follows_until_the_process_ends(watched) -> None:
    process = watched.starts(HELD)
    watched.look_when(lambda look: True, process.pid)
    following = subprocess.Popen(
        [*POOLSCOPE, "top", "--json", "--every", "0.2", str(process.pid)],
        env=watched.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    first, second = (json.loads(following.stdout.readline()) for _ in range(2))
    assert first["taken_at"] < second["taken_at"]
    process.terminate()
    process.communicate()
    _, complaint = following.communicate(timeout=30)
    assert complaint == f"poolscope: process {process.pid} has ended\n"
    assert following.returncode == 0


def test_a_process_that_ends_is_not_called_killed_by_who_looks_at_that_moment(watched, monkeypatch) -> None:
    live = LiveSocket()
    live.beat()
    watch = client.Watch([os.getpid()])
    live.beat()
    notes: list[str] = []
    hang_up = live._hang_up

    def hangs_up() -> None:
        hang_up()
        notes.extend(watch.read())

    monkeypatch.setattr(live, "_hang_up", hangs_up)
    live.close()
    assert notes == [f"process {os.getpid()} has ended"]
    assert not watched.sockets


# One line for each process that cannot be looked into.


def test_a_killed_process_leaves_a_socket_that_is_removed_with_a_line(watched) -> None:
    process = watched.starts(HELD)
    watched.look_when(lambda look: True, process.pid)
    process.kill()
    process.communicate()
    assert len(watched.sockets) == 1
    answer = watched.top("--json", str(process.pid))
    assert answer.returncode == 2
    assert answer.stderr == (
        f"poolscope: process {process.pid} was killed and left a socket behind, which is removed now\n"
    )
    assert not watched.sockets


def test_the_next_watched_process_removes_it_too(watched) -> None:
    killed = watched.starts(HELD)
    watched.look_when(lambda look: True, killed.pid)
    killed.kill()
    killed.communicate()
    process = watched.starts(HELD)
    watched.look_when(lambda look: True, process.pid)
    assert [socket.name.partition("-")[0] for socket in watched.sockets] == [str(process.pid)]


def test_a_process_that_does_not_exist(watched) -> None:
    answer = watched.top("--json", "5000000")
    assert (answer.returncode, answer.stderr) == (2, "poolscope: there is no process 5000000\n")


def test_a_process_that_is_stopped_does_not_answer(watched, monkeypatch) -> None:
    process = watched.starts(HELD)
    watched.look_when(lambda look: True, process.pid)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    monkeypatch.setattr(client, "PATIENCE", 0.2)
    notes: list[str] = []
    with pytest.raises(client.CannotLookError, match="no process answered"):
        top.lines([process.pid], None, print, notes.append)
    process.send_signal(signal.SIGCONT)
    [note] = notes
    assert note.startswith(f"process {process.pid} does not answer: it is stopped, or has forked")


def test_a_folder_that_others_can_write_to_is_not_used(watched) -> None:
    (watched.runtime / "poolscope").mkdir(0o700)
    (watched.runtime / "poolscope").chmod(0o777)
    process = watched.starts(HELD)
    elsewhere = Path(f"/tmp/poolscope-{os.geteuid()}")
    eventually(lambda: bool(list(elsewhere.glob(f"{process.pid}-*"))))
    assert is_private(str(elsewhere), os.geteuid())
    assert not watched.sockets
    assert len(str(elsewhere)) < LONGEST


@pytest.mark.root
def test_another_users_process_is_named_and_left_alone(watched) -> None:
    process = watched.starts(HELD)
    watched.look_when(lambda look: True, process.pid)
    becomes_nobody = (
        "import os, sys; from poolscope.cli import commands, top; os.setuid(65534);"
        "commands.commands(['top', '--json', sys.argv[1]])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", becomes_nobody, str(process.pid)],
        env=watched.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == (
        f"poolscope: process {process.pid} belongs to root: only they and root can look into it\n"
    )
    assert answer.returncode == 2


def test_a_client_that_never_reads_costs_the_program_nothing(watched) -> None:
    import socket

    process = watched.starts(HELD)
    watched.look_when(lambda look: True, process.pid)
    lazy = socket.socket(socket.AF_UNIX)
    lazy.connect(str(watched.sockets[0]))
    first = watched.look(process.pid)
    assert watched.look_when(lambda look: look["taken_at"] > first["taken_at"], process.pid)
    lazy.close()
