"""``poolscope attach``: processes that were started without poolscope, under a real Python 3.14."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3

import poolscope
from poolscope import records
from poolscope.attach.outside import PATIENCE
from stack.running import free_port
from tests.cli.conftest import POOLSCOPE, SOURCE
from tests.cli.waiting import eventually
from tests.look.python314 import interpreter
from tests.look.terminal import Terminal
from tests.servers import Running, in_thread

pytestmark = [pytest.mark.processes, pytest.mark.python314]


@pytest.fixture(scope="module")
def python() -> str:
    return interpreter()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


class Target:
    """A program without poolscope, and what it wrote on stderr."""

    def __init__(self, directory: Path, python: str, server: Running) -> None:
        self.directory = directory
        self.python = python
        self.server = server
        self.complaints = directory / "stderr"
        self.temporary = tempfile.mkdtemp(prefix="ps")

    def starts(self, text: str, *command: str, **environment: str) -> subprocess.Popen[str]:
        (self.directory / "program.py").write_text(text.replace("{url}", self.server.url("/fixed/")), "utf-8")
        with self.complaints.open("w") as stderr:
            self.process = subprocess.Popen(
                [self.python, *(command or ("program.py",))],
                cwd=self.directory,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        return self.process

    def says(self, words: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{words}\n"

    def stops(self) -> None:
        """Let `BUSY` compare, once the thread of the visit is gone: it ends a moment after the attaching side."""
        eventually(lambda: tasks(self.process.pid) == 1)
        (self.directory / "stop").touch()

    def attach_until(self, requests: int, pid: int | None = None) -> dict[str, Any]:
        """The totals of a visit that saw so many: of a program that a busy machine slows down, a longer visit."""
        for seconds in (2, 4, 8, 16, 32):
            seen: dict[str, Any] = json.loads(self.attach("--for", f"{seconds}s", "--json", pid=pid).stdout)
            if seen["totals"]["requests"] >= requests:
                break
        return seen

    def attach(self, *words: str, pid: int | None = None) -> subprocess.CompletedProcess[str]:
        command = [*POOLSCOPE, "attach", str(pid or self.process.pid), *words]
        environment = {**os.environ, "PYTHONPATH": SOURCE, "COLUMNS": "120", "TMPDIR": self.temporary}
        return subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@pytest.fixture
def target(tmp_path: Path, python: str, server: Running) -> Iterator[Target]:
    made = Target(tmp_path, python, server)
    yield made
    made.process.kill()
    made.process.communicate()
    complaints = DROPPED.sub("", made.complaints.read_text())
    assert complaints == "", "what attaches is never seen on the program's stderr"
    assert not os.listdir(made.temporary), "nothing is left there"
    os.rmdir(made.temporary)


DROPPED = re.compile(
    r"""Can't open debugger script \S+/script\.py:
Traceback \(most recent call last\):
  File "<string>", line 1, in <lambda>
KeyError: '__import__'
"""
)
"""What Python 3.14 says where a script comes while a namedtuple is made: there are no builtins to open it with."""

BUSY = """
import gc, os, sys, time, threading
import httpx, httpcore, urllib3, requests

def fingerprint():
    classes = [kind for kind in gc.get_objects() if isinstance(kind, type)
               and str(kind.__module__).partition(".")[0] in ("httpx", "httpcore", "urllib3", "requests", "http", "ssl", "socket")]
    return {f"{kind.__module__}.{kind.__qualname__}": {name: id(value) for name, value in vars(kind).items()
            if name not in ("__doc__", "__weakref__", "__dict__", "__annotations_cache__", "__abstractmethods__", "_abc_impl")} for kind in classes}

shared = httpx.Client()
shared.get("{url}")
httpx.get("{url}")
before, threads, files = fingerprint(), len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
print("ready", flush=True)
while not os.path.exists("stop"):
    shared.get("{url}")
    httpx.get("{url}").close()
    time.sleep(0.02)
gc.collect()
after = fingerprint()
changed = [f"{name}: {[key for key in then if after[name].get(key) != then[key]]}" for name, then in before.items() if after.get(name) != then]
assert len(os.listdir("/proc/self/task")) == threads, os.listdir("/proc/self/task")
assert len(os.listdir("/proc/self/fd")) == files, os.listdir("/proc/self/fd")
print(changed, flush=True)
"""


MAKES_NAMEDTUPLES = """
import os
from collections import namedtuple
import requests

Four = namedtuple("Four", "a b c d")
print("ready", flush=True)
while not os.path.exists("stop"):
    for _ in range(10_000):
        Four(1, 2, 3, 4)
    requests.get("{url}")
"""


def test_a_script_that_the_interpreter_drops_is_sent_again(target: Target) -> None:
    target.starts(MAKES_NAMEDTUPLES)
    target.says("ready")
    for _ in range(5):
        assert target.attach("--for", "0.2s", "--wait", "60s").returncode == 0


def test_a_busy_program_is_reported_and_left_as_it_was(target: Target) -> None:
    target.starts(BUSY)
    target.says("ready")
    saved = target.directory / "saved.jsonl"
    seen = target.attach("--for", "4s", "--save", str(saved))
    assert seen.returncode == 0, seen.stderr
    assert seen.stderr == f"poolscope: poolscope view {saved} shows the recording\n"

    lines = [records.from_json(line) for line in saved.read_text().splitlines()]
    assert isinstance(lines[0], records.Header)
    assert (lines[0].pid, lines[0].program) == (target.process.pid, "program.py")
    assert isinstance(lines[-1], records.Summary)
    [finding] = [line for line in lines if isinstance(line, records.Finding) and line.code == "PS101"]
    assert finding.call_site is not None
    assert finding.call_site.line == 18
    older = next(line for line in lines if isinstance(line, records.Connection) and line.opened_at is None)
    assert older.setup == {}, "its past is not known"

    again = json.loads(target.attach("--for", "1s", "--json").stdout)
    assert again["totals"]["requests"] > 0

    target.stops()
    target.says("[]")
    assert target.process.wait(30) == 0


FORKS = BUSY.replace(
    "    time.sleep(0.02)",
    """    time.sleep(0.02)
    if os.path.exists("fork"):
        os.unlink("fork")
        if os.fork() == 0:
            break
        os.wait()""",
)


def test_a_child_that_is_forked_meanwhile_is_left_alone(target: Target) -> None:
    target.starts(FORKS, "-W", "ignore", "program.py")
    target.says("ready")
    saved = target.directory / "saved.jsonl"
    attaching = threading.Thread(target=target.attach, args=("--for", "4s", "--save", str(saved)))
    attaching.start()
    eventually(lambda: "exchange" in read(saved))
    (target.directory / "fork").touch()
    target.says("[]")
    attaching.join()
    target.stops()
    target.says("[]")
    assert {records.from_json(line).pid for line in saved.read_text().splitlines()} == {target.process.pid}


def test_the_program_is_left_alone_if_the_attaching_side_dies(target: Target) -> None:
    target.starts(BUSY)
    target.says("ready")
    attached = subprocess.Popen(
        [
            *POOLSCOPE,
            "attach",
            str(target.process.pid),
            "--for",
            "10m",
            "--save",
            str(target.directory / "saved.jsonl"),
        ],
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    eventually(lambda: "exchange" in read(target.directory / "saved.jsonl"))
    attached.send_signal(signal.SIGKILL)
    attached.wait()
    target.stops()
    target.says("[]")


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def tasks(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


APP = """
import httpx
async def app(scope, receive, send):
    if scope["type"] == "http":
        async with httpx.AsyncClient() as client:
            await client.get("{url}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
def application(environ, start_response):
    httpx.get("{url}")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def test_uvicorn_idle_and_busy(target: Target) -> None:
    port = free_port()
    target.starts(
        APP, "-m", "uvicorn", "program:app", "--lifespan", "off", "--log-level", "error", "--port", str(port)
    )
    eventually(lambda: answers(port))
    idle = json.loads(target.attach("--for", "1s", "--json").stdout)
    assert idle["totals"]["requests"] == 0
    with asked_again_and_again(port):
        busy = target.attach_until(10)
    assert [finding["code"] for finding in busy["findings"]] == ["PS101"]
    assert busy["findings"][0]["call_site"]["line"] == 5


def test_a_worker_of_gunicorn(target: Target) -> None:
    port = free_port()
    target.starts(
        APP, "-m", "gunicorn", "program:application", "--log-level", "error", "-b", f"127.0.0.1:{port}"
    )
    eventually(lambda: answers(port))
    children = Path(f"/proc/{target.process.pid}/task/{target.process.pid}/children")
    worker = int(children.read_text().split()[0])
    with asked_again_and_again(port):
        seen = target.attach_until(10, worker)
    assert seen["processes"][0]["pid"] == worker
    assert [finding["code"] for finding in seen["findings"]] == ["PS101"]
    target.process.kill()  # first, as it logs the end of a worker
    target.process.wait()
    with suppress(ProcessLookupError):  # a worker without its parent may have ended on its own
        os.kill(worker, signal.SIGKILL)


TASKS = """
import httpx
from celery import Celery
app = Celery("program", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}
app.conf.worker_hijack_root_logger = False
@app.task
def fetch():
    httpx.get("{url}")
"""
ASKED = "from program import fetch; [fetch.delay() for _ in range(1_000)]"
"""More than it can do before somebody attaches."""


def test_a_worker_of_celery(target: Target) -> None:
    (target.directory / "queue").mkdir()
    words = ("--pool", "solo", "--loglevel", "critical", "--without-mingle", "--without-gossip")
    target.starts(TASKS, "-W", "ignore", "-m", "celery", "--quiet", "-A", "program", "worker", *words)
    subprocess.run([target.python, "-c", ASKED], cwd=target.directory, check=True)
    eventually(lambda: len(os.listdir(target.directory / "queue")) < 990)
    seen = target.attach_until(10)
    assert seen["findings"][0]["code"] == "PS101"


def answers(port: int) -> bool:
    try:
        return urllib3.request("GET", f"http://127.0.0.1:{port}/", retries=False, timeout=5).status == 200
    except urllib3.exceptions.HTTPError:
        return False


class asked_again_and_again:
    def __init__(self, port: int) -> None:
        self._port, self._over = port, threading.Event()

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            answers(self._port)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


SLEEPS = "import time; print('ready', flush=True); time.sleep(8); print('awake', flush=True); time.sleep(0.5)"
JOINS = """
import threading, time
thread = threading.Thread(target=time.sleep, args=(8,))
thread.start()
print("ready", flush=True)
thread.join()
print("awake", flush=True)
time.sleep(0.5)
"""


@pytest.mark.parametrize("text", [SLEEPS, JOINS], ids=["sleep", "join"])
def test_attach_gives_up_on_a_main_thread_that_runs_no_python(text: str, target: Target) -> None:
    target.starts(text)
    target.says("ready")
    late = target.attach("--wait", "1s")
    assert late.returncode == 2
    assert late.stderr == (
        f"poolscope: process {target.process.pid} has run no Python in its main thread for 1 s: it sleeps, joins a"
        " thread or is in a long call. Nothing was changed there; a longer --wait may help\n"
    )
    target.says("awake")
    assert target.process.wait(30) == 0


def test_a_process_that_forbids_attaching(target: Target) -> None:
    target.starts(SLEEPS, PYTHON_DISABLE_REMOTE_DEBUG="1")
    target.says("ready")
    refused = target.attach()
    assert refused.returncode == 2
    assert refused.stderr == (
        f"poolscope: process {target.process.pid} does not allow it: it was started with PYTHON_DISABLE_REMOTE_DEBUG"
        " or -X disable-remote-debug\n"
    )


def test_the_message_for_an_older_python_says_what_is_needed(target: Target) -> None:
    target.python = sys.executable
    target.starts(SLEEPS)
    target.says("ready")
    refused = target.attach()
    assert refused.returncode == 2
    if sys.version_info < (3, 14):
        assert "and attaching needs 3.14 or later: restart it with POOLSCOPE=--live" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_process_that_is_not_python(target: Target) -> None:
    target.python = "/bin/sh"
    target.starts("echo ready; sleep 5")
    target.says("ready")
    refused = target.attach()
    assert "which is not a Python interpreter" in refused.stderr
    assert target.attach(pid=5_000_000).stderr == "poolscope: there is no process 5000000\n"


def test_the_screen_of_a_program_that_was_not_prepared(target: Target) -> None:
    target.starts(BUSY)
    target.says("ready")
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    command = [sys.executable, "-m", "poolscope", "attach", str(target.process.pid), "--top", "--for", "60s"]
    top = Terminal(command, environment, 100, 30)
    top.shows("PS101", "program.py:18")
    top.types("q")
    assert top.ends() == 0
    target.stops()
    target.says("[]")


LIAR = """
import sys, time, types
from pathlib import Path

def module(name, **names):
    made = sys.modules[name] = types.ModuleType(name)
    made.__path__ = []
    vars(made).update(names)

def visit(connected, settings):
    connected.sendall(Path("says").read_bytes())
    connected.recv(1)

module("poolscope", __version__=sys.argv[1])
module("poolscope.attach")
module("poolscope.attach.inside", visit=visit)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


def test_nonsense_from_a_process_is_reported_in_one_line(target: Target) -> None:
    target.starts(LIAR, "program.py", poolscope.__version__)
    target.says("ready")
    hello = b'{"hello": ""}\n'
    for said in (
        b"[1]\n",
        b"5\n",
        b"\xff\n",
        b"[" * 99_999 + b"\n",
        hello + b"no\n",
        hello + b'{"type": "exchange"}\n',
    ):
        (target.directory / "says").write_bytes(said)
        seen = target.attach("--for", "1s")
        words = f"poolscope: process {target.process.pid} sends data that is not poolscope's\n"
        assert (seen.returncode, seen.stderr) == (2, words), said


def test_attach_can_leave_a_process_that_was_stopped(target: Target) -> None:
    target.starts(BUSY)
    target.says("ready")
    saved = target.directory / "saved.jsonl"
    words = [*POOLSCOPE, "attach", str(target.process.pid), "--for", "60s", "--save", str(saved)]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "TMPDIR": target.temporary}
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as attaching:
        eventually(lambda: saved.exists() and saved.read_text().count('"exchange"') > 3)
        target.process.send_signal(signal.SIGSTOP)
        try:
            attaching.send_signal(signal.SIGINT)
            attaching.send_signal(signal.SIGTERM)  # of another kind, or both may arrive as one
            _, errors = attaching.communicate(timeout=PATIENCE - 1)
        finally:
            target.process.send_signal(signal.SIGCONT)
    assert attaching.returncode == -signal.SIGTERM, errors
    assert "shows the recording" in errors
    assert "Traceback" not in errors
    target.stops()
    target.says("[]")
