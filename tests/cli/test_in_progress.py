"""Requests in progress count: in the report, in JSON, in ``diff``, and in the file of a killed program."""

from __future__ import annotations

import json
import signal

import pytest

from poolscope import records
from tests.cli.waiting import eventually
from tests.servers.scripted import Scripted, scripted

pytestmark = pytest.mark.processes

HELD = """
import threading, time
import httpx, requests

with_pool_of_one = httpx.Client(limits=httpx.Limits(max_connections=1), timeout=60)
session = requests.Session()

open_response = session.get("{url}".replace("fixed", "size/400000") + "open", stream=True)

def hangs():
    with_pool_of_one.get("{url}".replace("fixed", "slow/50000") + "hung")

def waits():
    with_pool_of_one.get("{url}" + "waiting")

threading.Thread(target=hangs).start()
while not with_pool_of_one._transport._pool.connections:
    time.sleep(0.01)
threading.Thread(target=waits).start()
"""
LINES = {"open": 8, "hung": 11, "waiting": 14}
STATES = {"open": "reading", "hung": "awaiting_headers", "waiting": "waiting"}


def last(program) -> dict[str, records.Exchange]:
    """The newest record of each request, by the end of its path."""
    found: dict[str, records.Exchange] = {}
    text = program.saved.read_text(encoding="utf-8") if program.saved.exists() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            record = records.from_json(line)
            if isinstance(record, records.Exchange) and record.url is not None:
                found[record.url.rpartition("/")[2]] = record
    return found


def test_a_killed_program_leaves_what_was_in_progress_with_its_lines(program) -> None:
    running = program.write(HELD).start()
    eventually(lambda: last(program).keys() == LINES.keys())
    eventually(lambda: {name: record.state for name, record in last(program).items()} == STATES)
    running.send_signal(signal.SIGKILL)
    running.communicate()

    view = program.poolscope("view", str(program.saved))
    assert "3 requests in progress" in view.stdout
    for name, line in LINES.items():
        assert f"{name}  program.py:{line} in" in view.stdout
    assert "waits for a connection" in view.stdout
    assert "waits for its answer" in view.stdout
    assert "its response is open" in view.stdout

    report = json.loads(program.poolscope("view", "--json", str(program.saved)).stdout)
    assert report["totals"]["requests"] == report["totals"]["requests_in_progress"] == 3
    assert {entry["state"] for entry in report["totals"]["in_progress"]} == set(STATES.values())


def answers_late(server: Scripted) -> None:
    """Answers the first request when the test says so, and the second at once."""
    for path in ("slow", "fast"):
        with server.accept() as peer:
            peer.read_head()
            if path == "slow":
                server.wait_for_test()
            peer.answer()


def test_a_request_that_was_written_while_in_progress_counts_once_when_it_is_over(program) -> None:
    with scripted(answers_late) as server:
        program.path.write_text(
            f"import requests\nfor path in ('slow', 'fast'):\n    requests.get({server.url()!r} + path)\n"
        )
        process = program.start()
        eventually(lambda: [record.state for record in last(program).values()] == ["awaiting_headers"])
        server.go.set()
        _, report = process.communicate(timeout=30)

    ended = [record for record in program.of(records.Exchange) if record.state is None]
    assert [(record.id, record.status) for record in ended] == [(1, 200), (2, 200)]
    assert "in progress" not in report
    assert program.summary().requests == 2
    view = program.poolscope("view", str(program.saved))
    assert "total  2 requests" in view.stdout
    diff = program.poolscope("diff", str(program.saved), str(program.saved))
    assert "requests                   2             2  same" in diff.stdout


def test_responses_that_are_open_at_the_end_are_requests(program) -> None:
    run = program.write(
        "import requests\nsession = requests.Session()\n"
        'kept = [session.get("{url}".replace("fixed", "size/400000") + str(n), stream=True) for n in range(5)]'
    ).run()

    assert "5 requests in progress" in run.stderr
    assert [record.state for record in last(program).values()] == ["reading"] * 5
    assert program.summary().requests == 5
    open_at_the_end = {record.id: record.requests for record in program.of(records.Connection)}
    assert list(open_at_the_end.values()) == [1] * 5
