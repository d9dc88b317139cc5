"""``poolscope view`` and ``diff``: the same report again, and a comparison of two recordings."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from poolscope import records
from poolscope.recording.stderr import PLAINLY
from tests.cli.conftest import SOURCE, Program
from tests.reports.stories import Story

pytestmark = pytest.mark.processes

PER_CALL = "import requests\nfor _ in range(10):\n    requests.get('{url}')\n"
SESSION = "import requests\nwith requests.Session() as s:\n    for _ in range(10):\n        s.get('{url}')\n"
MIXED = (
    "import httpx, requests, os\n"
    "def fetch():\n    with httpx.Client() as client:\n        client.get('{url}', params={'q': 'x'})\n"
    "for _ in range(6): fetch()\n"
    "leaked = httpx.Client(); leaked.get('{url}')\n"
    "try:\n    requests.get('http://127.0.0.1:1/')\nexcept requests.ConnectionError:\n    pass\n"
    "if os.fork() == 0:\n    requests.get('{url}'); os._exit(0)\nos.wait()\n"
)


@pytest.mark.parametrize("text", [PER_CALL, SESSION, MIXED], ids=["per call", "session", "mixed"])
@pytest.mark.parametrize("columns", ["80", "140"])
def test_view_is_the_live_report_byte_for_byte(program: Program, text: str, columns: str) -> None:
    run = program.write(text).run(env={"COLUMNS": columns})
    view = program.poolscope("view", str(program.saved), env={"COLUMNS": columns})
    assert view.stdout == run.stderr
    assert (view.stderr, view.returncode) == ("", 0)
    as_json = program.poolscope("view", "--json", str(program.saved))
    assert json.loads(as_json.stdout)


def test_view_and_run_write_the_same_json(program: Program) -> None:
    report = program.directory / "report.json"
    run = program.write(MIXED).run("--json", "-o", str(report))
    assert run.stderr == ""
    for words in (["--json"], ["--format", "json"]):
        assert program.poolscope("view", *words, str(program.saved)).stdout == report.read_text("utf-8")


def test_the_saved_file_is_in_order(program: Program) -> None:
    program.write(MIXED).run()
    kinds = [record.type for record in program.records()]
    assert (kinds[0], kinds[-1]) == ("header", "summary")
    assert kinds.count("header") == kinds.count("summary") == 2
    last_child = max(n for n, r in enumerate(program.records()) if r.pid != program.records()[0].pid)
    first_child = min(n for n, r in enumerate(program.records()) if r.pid != program.records()[0].pid)
    assert set(kinds[last_child + 1 : -1]) <= {"finding"}
    assert all(r.pid == program.records()[0].pid for r in program.records()[:first_child])


def test_a_client_per_request_is_found_and_saved(program: Program) -> None:
    run = program.write(PER_CALL).run()
    assert "PS101" in run.stderr
    (finding,) = program.of(records.Finding)
    assert (finding.code, finding.call_site.line, finding.count) == ("PS101", 3, 10)


def test_a_foreign_file_names_the_line(program: Program) -> None:
    foreign = program.directory / "foreign.txt"
    foreign.write_text("this is\nnothing of ours\n")
    for words in (("view", str(foreign)), ("diff", str(foreign), str(foreign))):
        done = program.poolscope(*words)
        assert done.returncode == 1
        assert "line 1 of" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_lines_before_a_foreign_line_are_shown(program: Program) -> None:
    program.write(SESSION).run()
    lines = program.saved.read_text().splitlines()
    lines.insert(5, '{"type": "alien"}')
    program.saved.write_text("\n".join(lines) + "\n")
    done = program.poolscope("view", str(program.saved))
    assert done.returncode == 1
    assert "line 6 of" in done.stderr
    assert "5 records" in done.stderr
    assert "requests.Session" in done.stdout


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"header"}',
        '{"type":"header","pid":1,"schema":"x","poolscope":"","python":"","wall_at_zero":0,"started_at":0}',
        "[]",
        "\x00\xff",
        '{"type":"summary","pid":1,"ended_at":0,"wall_time":0,"exit_code":0,"requests":0,"connections":0,"clients":0}',
        '{"type":["header"]}',
    ],
)
def test_an_almost_right_file_is_no_traceback(program: Program, line: str) -> None:
    program.saved.write_text(line + "\n")
    done = program.poolscope("view", str(program.saved))
    assert done.returncode == 1
    assert "line 1 of" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cut_last_line_is_only_a_note(program: Program) -> None:
    program.write(SESSION).run()
    text = program.saved.read_text()
    program.saved.write_text(text[: len(text) - 30])
    done = program.poolscope("view", str(program.saved))
    assert done.returncode == 0
    assert "cut off" in done.stderr
    assert "10 requests" in done.stdout


@pytest.mark.parametrize("text", ["nothing of ours", '{"type":"header","pid":12,"sch'])
def test_an_only_line_without_an_end_is_no_empty_file(program: Program, text: str) -> None:
    program.saved.write_text(text)
    done = program.poolscope("view", str(program.saved))
    assert (done.returncode, done.stdout) == (1, "")
    assert "the only line of" in done.stderr
    assert "is cut off, or it is not a recording" in done.stderr
    assert "empty" not in done.stderr


@pytest.mark.parametrize(
    ("words", "status"), [(("view", "nowhere"), 2), (("diff", "nowhere", "nowhere"), 2), (("view", "."), 2)]
)
def test_an_unreadable_file_is_one_line(program: Program, words: tuple[str, ...], status: int) -> None:
    done = program.poolscope(*words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (status, "", 1)


def test_diff_shows_that_a_fix_works(program: Program) -> None:
    program.write(PER_CALL).run()
    before = program.saved.rename(program.directory / "before.jsonl")
    program.write(SESSION).run()
    done = program.poolscope("diff", str(before), str(program.saved))
    assert done.returncode == 0
    rows = {line[:14].strip(): line[14:].split() for line in done.stdout.splitlines() if line[:14].strip()}
    assert rows["connections"] == ["10", "1", "−9", "(90", "%", "less)"]
    assert rows["requests"] == ["10", "10", "same"]
    assert rows["findings"] == ["1", "0", "−1"]
    assert rows["reused"] == ["0%", "90%", "+90", "points"]
    data = json.loads(program.poolscope("diff", "--json", str(before), str(program.saved)).stdout)
    assert data["before"]["total"]["connections"] == 10
    assert data["after"]["total"]["reused"] == 0.9
    (origin,) = data["before"]["origins"].values()
    # Clients, findings and times have no origin.
    assert origin.keys() == {
        "requests", "connections", "inherited", "failed_setups", "reused", "setup", "closing", "pool_wait"
    }  # fmt: skip


@pytest.mark.unmeasured
def test_a_long_file_is_read_in_little_memory(tmp_path: Path, program: Program) -> None:
    header = records.Header(1, 1, "0", "3", 0.0, 0.0)
    saved = tmp_path / "long.jsonl"
    with saved.open("w") as file:
        file.write(records.to_json(header) + "\n")
        for number in range(1, 20_001):
            at = number / 100
            connection = records.Connection(1, number, None, None, "http://a", "direct", opened_at=at)
            file.write(records.to_json(connection) + "\n")
            exchange = records.Exchange(
                1, number, number, None, None, "http://a", "GET", None, 1, False, started_at=at
            )
            file.write(records.to_json(exchange) + "\n")
            connection.closed_at, connection.close_reason = at + 0.001, "gc"
            file.write(records.to_json(connection) + "\n")
    # ru_maxrss is the last resort, as it begins with the memory of the process that forked us.
    measure = (
        "import os, resource, sys\nfrom poolscope.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "if os.path.exists('/proc/self/status'):\n"
        "    with open('/proc/self/status') as status:\n"
        "        peak = next(int(line.split()[1]) for line in status if line.startswith('VmHWM'))\n"
        "print(peak // 1024, file=sys.stderr)"
    )
    for words in (["view", str(saved)], ["diff", str(saved), str(saved)]):
        done = subprocess.run(
            [sys.executable, "-c", measure, *words],
            env=program.environment(), capture_output=True, text=True, check=True, timeout=110,
        )  # fmt: skip
        assert int(done.stderr.splitlines()[-1]) < 100
        assert "20,000" in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_unicode_gets_similar_ascii(program: Program, encoding: str) -> None:
    run = program.write(SESSION).run(env={"PYTHONIOENCODING": encoding}, encoding=encoding)
    view = program.poolscope(
        "view", str(program.saved), env={"PYTHONIOENCODING": encoding}, encoding=encoding
    )
    assert view.returncode == 0
    assert view.stdout == run.stderr
    assert re.search(r"^    #\d+ [=#%·-]+ ", view.stdout, re.MULTILINE)
    assert "?" not in view.stdout
    if encoding == "ascii":
        assert "10 requests - 1 connection" in view.stdout


def test_each_of_our_characters_has_an_ascii_equivalent() -> None:
    ours = {
        character
        for folder in ("cli", "recording", "findings", "reports")
        for file in Path(SOURCE, "poolscope", folder).glob("*.py")
        for character in file.read_text(encoding="utf-8")
        if not character.isascii()
    }
    assert ours
    assert "?" not in "".join(sorted(ours)).encode("ascii", PLAINLY).decode("ascii")


def test_a_file_of_the_first_schema_opens(program: Program) -> None:
    """poolscope 0.1.0 saved it before the second schema; only its paths were changed."""
    saved = Path(__file__).with_name("recordings") / "schema1.jsonl"
    assert '"schema":1' in saved.read_text().splitlines()[0]
    view = program.poolscope("view", str(saved))
    assert (view.returncode, view.stderr) == (0, "")
    assert "total  5 requests · 5 connections · 5 clients" in view.stdout
    assert "PS101 client per request (info)  orders.py:3 in call" in view.stdout
    diff = program.poolscope("diff", str(saved), str(saved))
    assert (diff.returncode, diff.stderr) == (0, "")


def written(path: Path, kind: str, at: float, wall_at_zero: float) -> str:
    """A recording of a program, named like its clients, that began ``at`` on its machine's clock."""
    story = Story(now=at)
    story.header(program=kind, wall_at_zero=wall_at_zero)
    story.throwaway(kind=kind)
    story.summary()
    path.write_text("".join(records.to_json(record) + "\n" for record in story.records))
    return str(path)


@pytest.mark.parametrize("format_", ["text", "har", "perfetto"])
def test_recordings_of_two_machines_are_on_one_clock(program: Program, tmp_path: Path, format_: str) -> None:
    """A monotonic clock counts from the start of its machine, so only the time of day says what came first."""
    late = written(tmp_path / "a.jsonl", "httpx.get", 100.0, 1e9)
    here = written(tmp_path / "b.jsonl", "requests.get", 64.0, 1e9)
    there = written(tmp_path / "c.jsonl", "requests.get", 64.0 + 2**22, 1e9 - 2**22)
    shown = [program.poolscope("view", "--format", format_, late, early).stdout for early in (here, there)]
    assert re.sub(r"\d+\.\d+", "", shown[0]) == re.sub(r"\d+\.\d+", "", shown[1])
    if format_ == "text":
        assert "+36.0" in shown[1]
        assert "requests.get, httpx.get" in shown[1]
    elif format_ == "perfetto":
        times = [event["ts"] for event in json.loads(shown[1])["traceEvents"] if "ts" in event]
        assert 0 <= min(times) < max(times) < 40e6
    else:
        entries = json.loads(shown[1])["log"]["entries"]
        assert {entry["startedDateTime"][:16] for entry in entries} == {
            "2001-09-09T01:47",
            "2001-09-09T01:48",
        }
