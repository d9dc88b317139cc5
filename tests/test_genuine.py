"""Our clock and our threads are our own under freezegun, time-machine and gevent, in any order of imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Running

pytestmark = pytest.mark.processes

SOURCE = str(Path(__file__).resolve().parents[1] / "src")

CAPTURE = """
BEFORE
import json, sys
import requests
from poolscope.testing import capture
url = sys.argv[1]
with capture() as seen, requests.Session() as session:
    session.get(url)
    for year in (2050, 2010):
        with travelled(year):
            session.get(url)
            session.get(url)
            requests.get(url)
    session.get(url)
times = []
for record in seen.exchanges:
    times += [record.started_at, record.sent_at, record.headers_at, record.finished_at]
durations = [record.idle_time for record in seen.exchanges if record.idle_time is not None]
for record in seen.connections:
    times += [record.setup_started_at, record.opened_at, record.closed_at]
    durations += [record.close_time, *(phase.duration for phase in record.setup.values())]
for record in seen.clients:
    times += [record.created_at, record.closed_at]
    durations.append(record.construction_time)
print(json.dumps([times, durations, [record.started_at for record in seen.exchanges]]))
"""
TRAVEL = {
    "freezegun": "import freezegun\ntravelled = lambda year: freezegun.freeze_time(f'{year}-01-01')",
    "time-machine": (
        "import time_machine, datetime\n"
        "travelled = lambda year: time_machine.travel(datetime.datetime(year, 1, 1), tick=False)"
    ),
    "gevent": (
        "from gevent import monkey; monkey.patch_all()\nimport contextlib\n"
        "travelled = lambda year: contextlib.nullcontext()"
    ),
}
FIRST = {
    "freezegun": "import freezegun\nfreezegun.freeze_time('2040-01-01').start()",
    "time-machine": "import time_machine\ntime_machine.travel(2e9, tick=False).start()",
    "gevent": "from gevent import monkey; monkey.patch_all()",
}


def environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("POOLSCOPE")}
    return plain | {"PYTHONPATH": SOURCE}


def printed(program: str, *arguments: str) -> Any:
    """Run a program in a fresh interpreter; returns the JSON it printed."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def holds(times: list[float], durations: list[float], starts: list[float]) -> None:
    assert None not in times
    assert max(times) - min(times) < 60
    assert all(0.0 <= duration < 60 for duration in durations)
    assert starts == sorted(set(starts)), "time passed between one request and the next"


def tools(*regress: str) -> list[object]:
    """All orders; those that once broke us are marked."""
    return [pytest.param(tool, marks=[pytest.mark.regress] * (tool in regress)) for tool in TRAVEL]


@pytest.mark.parametrize("tool", tools("freezegun"))
def test_a_capture_keeps_its_own_time(tool: str, server: Running) -> None:
    program = CAPTURE.replace("BEFORE", TRAVEL[tool])
    holds(*printed(program, server.url("/fixed/1")))


@pytest.mark.parametrize("tool", tools("freezegun"))
def test_also_when_poolscope_is_imported_on_the_journey(tool: str, server: Running) -> None:
    program = CAPTURE.replace("BEFORE", f"{FIRST[tool]}\n{TRAVEL[tool]}")
    holds(*printed(program, server.url("/fixed/1")))


BUSY = """
import os, sys, time
patched = sys.modules.get("gevent.monkey")
really_sleep = patched.get_original("time", "sleep") if patched else time.sleep
BEFORE
import requests
url, saved = sys.argv[1:3]
def wait_for_records(number):
    # The main thread does nothing for others meanwhile: only a thread of the system's can write.
    for attempt in range(1000):
        if os.path.exists(saved) and sum('"state":null' in line for line in open(saved)) == number:
            return
        really_sleep(0.01)
    sys.exit("nobody wrote the file")
with requests.Session() as session:
    with travelled(2050):
        session.get(url)
        wait_for_records(1)
    with travelled(2010):
        session.get(url)
    wait_for_records(2)
"""
START_ALREADY_PATCHED = """
from gevent import monkey; monkey.patch_all()
import sys
from poolscope.cli.main import main
main(sys.argv[1:])
"""


def run_busy(tool: str, url: str, directory: Path, starter: list[str]) -> list[dict[str, Any]]:
    """The records that the run saved; the program itself waits until both of its requests are in the file."""
    saved = directory / "saved.jsonl"
    script = directory / "busy.py"
    script.write_text(BUSY.replace("BEFORE", TRAVEL[tool]), encoding="utf-8")
    command = [sys.executable, *starter, "run", "--save", str(saved), str(script), url, str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in saved.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("tool", tools("freezegun", "time-machine"))
def test_the_heartbeat_goes_on(tool: str, server: Running, tmp_path: Path) -> None:
    records = run_busy(tool, server.url("/fixed/1"), tmp_path, ["-m", "poolscope"])
    header, summary = records[0], records[-1]
    assert abs(header["wall_at_zero"] + header["started_at"] - time.time()) < 60
    assert 0.0 < summary["wall_time"] < 60


@pytest.mark.regress
def test_the_heartbeat_is_a_thread_where_gevent_came_first(server: Running, tmp_path: Path) -> None:
    run_busy("gevent", server.url("/fixed/1"), tmp_path, ["-c", START_ALREADY_PATCHED])


EVERY = """
import os, sys, time
import freezegun, requests
url, reports = sys.argv[1:3]
def wait_for_another(sleep=time.sleep):
    size = os.path.getsize(reports)
    for attempt in range(1000):
        if os.path.getsize(reports) > size:
            return
        sleep(0.01)
    sys.exit("no report came")
with requests.Session() as session:
    with freezegun.freeze_time("2050-01-01"):
        session.get(url)
        wait_for_another()
    wait_for_another()
    wait_for_another()
"""


@pytest.mark.regress
def test_reports_come_regularly_after_a_journey(server: Running, tmp_path: Path) -> None:
    script, reports = tmp_path / "every.py", tmp_path / "reports.txt"
    script.write_text(EVERY, encoding="utf-8")
    options = ["--every", "0.1", "-o", str(reports), "--no-color"]
    command = [
        sys.executable,
        "-m",
        "poolscope",
        "run",
        *options,
        str(script),
        server.url("/fixed/1"),
        str(reports),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment())
    assert done.returncode == 0, done.stderr
