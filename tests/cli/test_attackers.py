"""Another user of the machine can't plant records, hang the program, or empty other people's files."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.conftest import Program
from tests.cli.recorded import over
from tests.cli.waiting import eventually
from tests.servers import Running

pytestmark = [pytest.mark.processes, pytest.mark.root, pytest.mark.regress]

CALLS = """
import os, requests, sys
requests.get("{url}")
pid = os.fork()
if pid == 0:
    requests.get("{url}")
    os._exit(0)
os.waitpid(pid, 0)
print("ready", flush=True)
sys.stdin.readline()
"""
NOBODY = 65534
PLANTED = (
    '{"type":"header","pid":99,"schema":1,"poolscope":"0","python":"3","wall_at_zero":0,"started_at":0}\n'
    '{"type":"exchange","pid":99,"id":1,"connection":null,"client":null,"pool":null,"origin":"http://planted:80",'
    '"method":"GET","url":"/"}\n'
)


def as_nobody(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Attacks that another user can make from a shell."""
    return subprocess.run(
        ["bash", "-c", code, "bash", *arguments], user=NOBODY, group=NOBODY, capture_output=True, text=True, timeout=30, check=False
    )  # fmt: skip


@pytest.fixture
def open_to_all(server: Running) -> Iterator[Program]:
    """The program in a folder that others can reach, like /srv or /var/log; pytest closes its own folders to them."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield Program(directory, server)


def test_nobody_else_can_plant_records_or_a_fifo(open_to_all: Program) -> None:
    program = open_to_all
    with program.write(CALLS).start(stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        home = f"{program.saved}.children"
        found = as_nobody(
            'ls "$1"; cd "$1" && for folder in . */; do cd "$folder" && mkfifo 0-hang.spool; printf %s "$2" > 0-planted.spool; done; true',
            home,
            PLANTED,
        )
        try:
            _, stderr = process.communicate("\n", timeout=20)
        finally:
            process.kill()
    assert "planted" not in stderr
    assert "2 requests · 2 connections" in stderr
    assert ".spool" not in found.stdout
    assert not Path(home).exists()


def test_a_folder_of_another_user_is_neither_used_nor_emptied(open_to_all: Program) -> None:
    program = open_to_all
    shared = program.directory / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    saved = shared / "calls.jsonl"
    as_nobody(
        'mkdir -m 777 "$1.children"; printf %s "$2" > "$1.children/00-1.spool"; chmod 666 "$1.children/00-1.spool"',
        str(saved),
        PLANTED,
    )
    run = program.write(CALLS).poolscope("run", "--save", str(saved), str(program.path), input="\n")
    assert "planted" not in run.stderr
    assert "2 requests · 2 connections" in run.stderr
    assert (shared / "calls.jsonl.children" / "00-1.spool").read_text() == PLANTED
    view = program.poolscope("view", str(saved))
    assert "planted" not in view.stdout


def test_a_link_is_not_followed(program: Program) -> None:
    elsewhere = program.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious.spool").write_text(PLANTED)
    Path(f"{program.saved}.children").symlink_to(elsewhere)
    run = program.write(CALLS).run(input="\n")
    assert "2 requests · 2 connections" in run.stderr
    assert "planted" not in run.stderr
    assert [path.name for path in elsewhere.iterdir()] == ["precious.spool"]


def test_spools_are_readable_by_their_owner_alone(program: Program) -> None:
    program.write(CALLS)
    with program.start(stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        home = Path(f"{program.saved}.children")
        eventually(lambda: any(home.rglob("*.spool")))
        assert not home.stat().st_mode & 0o066, "nobody else lists it, nobody else writes to it"
        for folder in (path for path in home.iterdir() if path.is_dir()):
            # Root's workers may have become another user: they know the name, which nobody else can list.
            assert not folder.stat().st_mode & 0o022 or os.geteuid() == 0
        for spool in home.rglob("*.spool"):
            assert stat.S_IMODE(spool.stat().st_mode) == 0o600
        process.communicate("\n", timeout=30)


BECOMES_NOBODY = """
import os, requests
pid = os.fork()
if pid == 0:
    {before}
    os.setgid(65534); os.setuid(65534)
    requests.get("{url}")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize(
    "before",
    ["pass", 'requests.get("{url}"); import time; time.sleep(1.5)'],
    ids=["after", "before and after"],
)
def test_a_worker_that_becomes_another_user_still_counts(open_to_all: Program, before: str) -> None:
    program = open_to_all
    program.write(BECOMES_NOBODY.replace("{before}", before))
    run = program.run()
    number = 1 if before == "pass" else 2
    assert f"{number} request" in run.stderr
    assert "not complete" not in run.stderr


FIRST_BECOMES_NOBODY = """
import os, requests
os.setgid(65534); os.setuid(65534)
pid = os.fork()
if pid == 0:
    requests.get("{url}")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
requests.get("{url}")
"""


def test_a_first_process_that_becomes_another_user_has_its_children(open_to_all: Program) -> None:
    open_to_all.write(FIRST_BECOMES_NOBODY).run("--quiet")
    assert over(open_to_all.saved) == 2
    assert open_to_all.saved.read_text().splitlines()[-1].startswith('{"type":"summary"')
