"""Statements are true: about several processes, about running ones, about what poolscope cannot see."""

from __future__ import annotations

import json
import re
import signal
import subprocess

import pytest

from tests.cli.conftest import Program
from tests.cli.waiting import eventually, read_until

pytestmark = [pytest.mark.processes, pytest.mark.regress]

IN_EACH = """
import os, requests
def call():
    requests.get("{url}")
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        for _ in range(8):
            call()
        os._exit(0)
    os.waitpid(pid, 0)
"""


def test_a_habit_of_several_processes_is_counted_over_all(program: Program) -> None:
    run = program.write(IN_EACH).run()
    text = " ".join(run.stderr.split())
    assert "40 calls of requests.get() to" in text
    assert ", in 5 processes." in text
    assert "So it was in one process" not in text
    assert re.search(r"saving at least .* in one process", text)
    (finding,) = json.loads(program.poolscope("view", "--json", str(program.saved)).stdout)["findings"]
    assert (finding["count"], finding["processes"]) == (40, 5)


EXPORTS = """
import requests
from opentelemetry.context import attach, detach, set_value
from opentelemetry import context
import opentelemetry.exporter.otlp.proto.http.trace_exporter
token = attach(set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
requests.get("{url}")
detach(token)
"""


def test_a_suppressed_exporter_is_mentioned(program: Program) -> None:
    run = program.write(EXPORTS).run()
    assert "no HTTP connection was opened" not in run.stderr
    assert "was seen" in run.stderr
    assert program.poolscope("view", str(program.saved)).stdout == run.stderr


def test_clients_that_poolscope_does_not_observe_are_named(program: Program) -> None:
    for name in ("pycurl", "niquests", "grpc"):
        (program.directory / f"{name}.py").write_text("")
    run = program.write("import pycurl, niquests, grpc, requests\nrequests.get('{url}')").run()
    assert "pycurl" in run.stderr
    assert "niquests" in run.stderr
    assert "grpc" in run.stderr
    assert program.poolscope("view", str(program.saved)).stdout == run.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_named(program: Program, number: signal.Signals) -> None:
    program.write(
        f"import os, requests\nrequests.get('{{url}}')\nos.kill(os.getpid(), {int(number)})\nimport time; time.sleep(9)"
    )
    run = program.run()
    assert f"ended by {number.name}" in run.stderr
    assert "exit code" not in run.stderr


WORKERS = """
import os, requests, sys
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        requests.get("{url}")
        sys.stdin.read()
        os._exit(0)
    children.append(pid)
requests.get("{url}")
print("ready", flush=True)
for pid in children:
    os.waitpid(pid, 0)
"""


def test_requests_in_progress_are_not_called_lost(program: Program) -> None:
    with program.write(WORKERS).start("--dump-on", "USR1", stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"

        def all_there() -> bool:
            return "3 requests" in program.poolscope("view", str(program.saved)).stdout

        eventually(all_there)
        view = program.poolscope("view", str(program.saved))
        process.send_signal(signal.SIGUSR1)
        dumped = read_until(process.stderr, "total  ")
        process.communicate(timeout=30)
    for shown in (view.stdout, dumped):
        assert "not seen" not in shown
        assert "no end recorded" not in shown
        assert "killed" not in shown.replace(str(program.directory), "")
    assert "3 still running" in view.stdout
    assert "2 still running" in dumped


BUSY_LOOP = """
import asyncio, httpx, time
async def main():
    async with httpx.AsyncClient(timeout=30) as client:
        task = asyncio.create_task(client.get("{url}"))
        await asyncio.sleep(0)
        time.sleep(7)
        await task
asyncio.run(main())
"""


def test_a_busy_loop_does_not_count_as_a_wait_for_a_connection(program: Program) -> None:
    program.write(BUSY_LOOP)
    run = program.run()
    assert "1 request" in run.stderr
    assert "has waited" not in run.stderr


def test_the_guide_gives_no_wrong_advice() -> None:
    from pathlib import Path

    guide = " ".join((Path(__file__).resolve().parents[2] / "docs" / "report.md").read_text().split())
    assert "after each answer" in guide, "a server may close after each answer without a header that says so"
    assert "dropped unread" in guide, "gc active is a response that was dropped unread"
    assert "HEAD" in guide
