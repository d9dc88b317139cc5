"""PS110: it fires where a request runs on a connection that was opened before the fork."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from poolscope.records import Finding, from_json
from tests.findings.rule import count, found
from tests.reports.stories import Story
from tests.servers import in_thread


def child(inherited: bool) -> Story:
    story = Story()
    client = story.client()
    connection = story.connect(client, inherited=inherited)
    story.exchange(client, connection)
    story.exchange(client, connection)
    return story


def test_each_request_on_an_inherited_connection() -> None:
    assert count("PS110", child(inherited=True)) == 2
    assert count("PS110", child(inherited=False)) is None


def test_it_is_a_warning_whatever_it_cost() -> None:
    (finding,) = found("PS110", child(inherited=True))
    assert (finding.severity, finding.cost) == ("warning", None)


def test_a_connection_that_the_child_only_closes() -> None:
    story = Story()
    story.disconnect(story.connect(story.client(), inherited=True), "gc")
    assert count("PS110", story) is None


PROGRAM = """
import os, sys, requests
session = requests.Session()
session.get({url!r}, timeout=5)
if os.fork() == 0:
    session.get({url!r}, timeout=5)
    sys.exit(0)
os.wait()
"""


def test_a_real_child(tmp_path: Path) -> None:
    program, saved = tmp_path / "program.py", tmp_path / "saved.jsonl"
    with in_thread() as server:
        program.write_text(PROGRAM.format(url=server.url("/fixed")), encoding="utf-8")
        command = [sys.executable, "-m", "poolscope", "run", "--save", str(saved), str(program)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    lines = saved.read_text(encoding="utf-8").splitlines()
    (finding,) = [each for each in map(from_json, lines) if isinstance(each, Finding)]
    assert (finding.code, finding.count) == ("PS110", 1)
    assert finding.call_site is not None
    assert finding.call_site.line == 6
