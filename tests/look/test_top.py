"""``poolscope top`` of real processes, on a real terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import POOLSCOPE
from tests.look.conftest import HELD, holds_and_waits
from tests.look.terminal import Terminal

pytestmark = pytest.mark.processes

PYTHON = sys.executable


def on_a_terminal(watched, columns: int, lines: int, *words: str) -> Terminal:
    return Terminal([PYTHON, "-m", "poolscope", "top", *words], watched.environment(), columns, lines)


def line_with(screen: str, words: str) -> str:
    return next(line for line in screen.splitlines() if words in line)


def test_80_by_24_shows_everything_and_keys_work(watched) -> None:
    process = watched.starts(HELD)
    watched.look_when(holds_and_waits, process.pid)
    top = on_a_terminal(watched, 80, 24, str(process.pid))

    heading = f"program.py ({process.pid}) · 1 open: 1 busy, 0 idle · 1 waits"
    rows = ("waits for a connection", "holds #1, response open", "PS101", "██")
    screen = top.shows(heading, "7 requests", *rows, "GET http://127.0.0.1", "q quit")
    assert "program.py:10 waits" in line_with(screen, "waits for a connection")
    assert "program.py:7 <module>" in line_with(screen, "holds #1, response open")
    assert "client per request" in line_with(screen, "PS101")
    assert "GET http://127.0.0.1" in screen.splitlines()[-3] + screen.splitlines()[-2]
    assert all(len(line) <= 80 for line in screen.splitlines())

    top.types("s")  # the table of requests, sorted by the next column
    top.shows("LINE↓")

    top.types("/")
    top.shows("show only what contains")
    top.types("response\r")
    top.shows("only 'response'", "holds #1", but_not="waits for a connection  ")
    top.types("\x1b")
    top.shows("waits for a connection  ")

    top.types(" ")
    top.shows("PAUSED")
    top.types(" ")
    top.shows(but_not="PAUSED")

    top.resize(50, 10)
    top.shows("top needs 60 columns and 15 lines")
    top.resize(200, 60)
    wide = top.shows("PS101", "REUSED", "WAIT↓", but_not="top needs")
    assert "REUSED" in line_with(wide, "WAIT↓")

    process.terminate()
    process.wait()
    top.shows("Nothing is left to look at")
    top.types("q")
    assert top.ends() == 0


def test_a_terminal_that_is_too_small_gets_one_line(watched) -> None:
    top = on_a_terminal(watched, 59, 24)
    assert top.ends() == 2
    assert "".join(top.lines) == (
        "poolscope: top needs 60 columns and 15 lines, and this terminal has 59 and 24: enlarge it, or use --json"
    )


def test_without_a_terminal_the_message_recommends_json(watched) -> None:
    answer = watched.top()
    assert answer.returncode == 2
    assert answer.stderr == "poolscope: top needs a terminal; for scripts: poolscope top --json\n"


WITHOUT_TEXTUAL = """
import sys
sys.modules["textual"] = None
from poolscope.cli.main import main
main(sys.argv[1:])
"""


def test_without_textual_json_works_and_the_screen_says_what_to_install(watched) -> None:
    process = watched.starts(HELD)
    watched.look_when(lambda look: True, process.pid)
    command = [PYTHON, "-c", WITHOUT_TEXTUAL, "top"]
    answer = subprocess.run(
        [*command, "--json", str(process.pid)],
        env=watched.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0
    assert answer.stdout.startswith('{"type": "top"')
    top = Terminal(command, watched.environment(), 100, 24)
    assert top.ends() == 2
    assert top.lines[0] == "poolscope: top needs Textual: pip install 'poolscope[top]', or use --json"


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_it_ends_with_its_terminal(watched, handler: signal.Handlers) -> None:
    process = watched.starts(HELD)
    watched.look_when(lambda look: look["waiters"], process.pid)
    signal.signal(signal.SIGHUP, handler)
    top = on_a_terminal(watched, 80, 24, str(process.pid))
    top.shows("waits for a connection")
    assert top.closes() != -signal.SIGKILL, "it had to be killed"


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(watched, number: signal.Signals) -> None:
    process = watched.starts(HELD)
    watched.look_when(lambda look: look["waiters"], process.pid)
    top = on_a_terminal(watched, 80, 24, str(process.pid))
    top.shows("waits for a connection")
    assert not top.is_given_back
    os.kill(top.pid, number)
    assert top.ends() == -number
    assert top.is_given_back
    assert "Traceback" not in top.text


IN_A_TASK = """
import signal, sys
from poolscope.cli.main import main
from poolscope.top.app import Top

number, read = int(sys.argv[1]), Top._read

def reads(self):
    read(self)
    if self._seen and signal.getsignal(number) is not signal.SIG_DFL:  # once
        signal.raise_signal(number)

Top._read = reads
main(["top", sys.argv[2]])
"""


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_while_the_screen_is_drawn_ends_it_too(watched, number: signal.Signals) -> None:
    """asyncio keeps an exception to itself that a handler raises in a task."""
    process = watched.starts(HELD)
    watched.look_when(lambda look: look["waiters"], process.pid)
    command = [PYTHON, "-c", IN_A_TASK, str(int(number)), str(process.pid)]
    top = Terminal(command, watched.environment(), 80, 24)
    assert top.ends() == -number, top.text
    assert top.is_given_back
    assert "Traceback" not in top.text


MANY = """
import socket, threading, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
import urllib3

def serve(listening):
    kept = []
    while True:
        connection, _ = listening.accept()
        kept.append(connection)
        connection.recv(1_000)
        connection.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

COUNT = 9_900
listening = socket.create_server(("127.0.0.1", 0), backlog=100)
threading.Thread(target=serve, args=(listening,), daemon=True).start()
pool = urllib3.HTTPConnectionPool("127.0.0.1", listening.getsockname()[1], maxsize=COUNT)
held = [pool.request("GET", "/", preload_content=False) for _ in range(COUNT)]
for answer in held[: COUNT // 2]:
    answer.read(), answer.release_conn()
print("ready", flush=True)
import time, sys
sys.stdin.read()
"""


@pytest.mark.long("opens ten thousand connections")
def test_ten_thousand_connections_cost_the_process_less_than_a_hundredth_of_a_core(watched) -> None:
    watched.write(MANY)
    process = subprocess.Popen(
        [*POOLSCOPE, "run", "--live", "--quiet", str(watched.path)],
        env=watched.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    top = on_a_terminal(watched, 200, 60, str(process.pid))
    screen = top.shows("9,900 open: 4,950 busy, 4,950 idle", "holds #", "program.py:18 <", within=60)
    assert "program.py:18 <" in line_with(screen, "holds #")
    top.kill()

    idle = cpu_share(process.pid)
    watching = [
        subprocess.Popen(
            [*POOLSCOPE, "top", "--json", "--every", "0.1", str(process.pid)],
            env=watched.environment(),
            stdout=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    cpu_share(process.pid, over=3)
    looked_into = cpu_share(process.pid)
    for each in watching:
        each.terminate()
        each.wait()
    process.communicate()
    print(f"{idle:.2%} of a core without anybody looking, {looked_into:.2%} with three")
    assert looked_into - idle < 0.01


def cpu_share(pid: int, over: float = 15.0) -> float:
    """The share of a core, as counted by the kernel."""
    import time

    before, began = ticks(pid), time.monotonic()
    time.sleep(over)
    return (ticks(pid) - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began)


def ticks(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
