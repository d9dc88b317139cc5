"""The end of a program in a bad moment: Ctrl-C before any line of ours, no descriptor left, no room in a file."""

from __future__ import annotations

import os
import re
import resource
import signal

import pytest

from tests.cli.conftest import Program

pytestmark = [pytest.mark.processes]

PRESSED = """
import atexit, os, signal, sys
import urllib3
urllib3.PoolManager().request("GET", "{url}")
from poolscope.recording import session, termination

OURS = {session.__file__, termination.__file__}
MOMENT = os.environ["MOMENT"]

def trace(frame, event, _):
    if frame.f_code.co_filename in OURS and event == "line" and frame.f_code.co_name == MOMENT:
        sys.settrace(None)
        print(MOMENT)
        signal.raise_signal(signal.SIGINT)
    return trace

atexit.register(sys.settrace, trace)
"""
"""Presses Ctrl-C before the first line of a function in which a program ends."""


@pytest.mark.parametrize(
    ("moment", "status"),
    [
        ("_at_exit", 0),  # before our first line: Python goes on with the next atexit handler
        ("finish", -signal.SIGINT),
        ("undisturbed", -signal.SIGINT),
        ("_blocked", -signal.SIGINT),
        ("_finish", -signal.SIGINT),
        ("catch_up", 0),
    ],
)
def test_ctrl_c_at_the_end_costs_nothing_of_the_report(program: Program, moment: str, status: int) -> None:
    run = program.write(PRESSED).run(env={"MOMENT": moment})
    assert (run.stdout, run.returncode) == (f"{moment}\n", status)
    assert "total  1 request · 1 connection" in run.stderr
    assert program.summary().requests == 1


LEAK = """
import urllib3
kept = []
while True:
    kept.append(urllib3.PoolManager())
    kept.append(kept[-1].request("GET", "{url}", preload_content=False, retries=False))
"""


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@pytest.mark.parametrize(("format_", "shown"), [("text", "PS103"), ("html", "</html>")])
def test_a_program_that_has_used_up_its_descriptors_gets_its_report(
    program: Program, format_: str, shown: str
) -> None:
    run = program.write(LEAK).run("--format", format_, "-o", "report", preexec_fn=few_descriptors)
    assert run.returncode == 1
    assert re.search(r"Too many open files.*\n\Z", run.stderr), run.stderr
    assert shown in (program.directory / "report").read_text()
    assert program.summary().requests > 20


LIMITED = """
import resource, sys
import urllib3
http = urllib3.PoolManager()
http.request("GET", "{url}")
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


def test_a_saved_file_has_its_header_without_a_descriptor(program: Program) -> None:
    run = program.write(LIMITED).run(arguments=("3",))
    assert (run.returncode, program.records()[0].type, program.summary().requests) == (0, "header", 1)


TOO_LARGE = """
import resource, signal
import urllib3
http = urllib3.PoolManager()
for _ in range(20):
    http.request("GET", "{url}")
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
print("the end")
"""


@pytest.mark.regress
def test_a_limit_of_file_sizes_that_kills_does_not_kill_for_our_file(program: Program) -> None:
    run = program.write(TOO_LARGE).run()
    assert (run.returncode, run.stdout) == (0, "the end\n")
    assert run.stderr.endswith("saved.jsonl' is not complete: File too large\n")


SUBCLASS = """
class Leave(KeyboardInterrupt):
    pass

raise Leave
"""


@pytest.mark.regress
@pytest.mark.parametrize("how", ["run", "variable"])
def test_only_a_plain_keyboard_interrupt_is_death_by_sigint(
    program: Program, installed: tuple[str, dict[str, str]], how: str
) -> None:
    bare = program.write(SUBCLASS).bare()
    if how == "run":
        run = program.run()
    else:
        python, path = installed
        run = program._finish(
            [python, str(program.path)], env={**path, "POOLSCOPE": f"--save {os.devnull} --quiet"}
        )
    assert (run.returncode, bare.returncode) == (1, 1)
