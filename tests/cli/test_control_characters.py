"""Names chosen by a server, a file or a Prometheus never control a terminal: the tests read its screen."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pyte
import pytest

from tests.cli.conftest import POOLSCOPE, Program

pytestmark = pytest.mark.processes
HOSTILE = {
    "clear the screen": "\x1b[2J\x1b[H",
    "set the title": "\x1b]0;owned\x07",
    "reverse colours": "\x1b[7m",
    "C1 clear": "\x9b2J",
    "C1 title": "\x9d0;owned\x9c",
    "go back": "\r\x08\x08",
    "a line of its own": "\nforged",
    "right to left": "\u202eevil\u2066\u200f",
    "unseen": "\u200b\ufeff\xad\x00\x7f",
    "a tag": "\U000e0041",
    "half a character": "\ud800",
}
"""Hostile parts of a name, by their effect."""
EVIL = "ev" + "".join(HOSTILE.values()) + "il"
SHOWN = re.compile("ev�.*il", re.DOTALL)
UNSEEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)
OUR_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OUR_LINKS = re.compile(r"\x1b\]8;;(?:file://[!-~]*)?\x1b\\")


class Terminal:
    """A command on its own terminal; returns the screen after it has ended."""

    def __init__(self, columns: int = 200, rows: int = 1_500) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.raw = b""

    def run(self, command: list[str], **options: Any) -> int:
        ours, theirs = pty.openpty()
        options["env"] = options["env"] | {"TERM": "xterm", "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **options) as process:
            os.close(theirs)
            try:
                while piece := os.read(ours, 65_536):
                    self.raw += piece
            except OSError:  # the other end is closed
                pass
            finally:
                os.close(ours)
        pyte.ByteStream(self.screen).feed(b"what stood here before\r\n" + self.raw)
        return process.returncode

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    def was_not_steered(self) -> None:
        text = "\n".join(self.lines)
        assert self.lines[0] == "what stood here before"
        assert self.screen.title == ""
        assert not any(cell.reverse for row in self.screen.buffer.values() for cell in row.values())
        assert not [line for line in self.lines if line.strip().startswith("forged")], "a name made a line"
        assert not UNSEEN.search(text.replace("\n", ""))
        plain = OUR_LINKS.sub("", OUR_COLOURS.sub("", self.raw.decode("utf-8")))
        rest = plain.replace("\r\n", "\n")
        assert not UNSEEN.search(rest), "nothing but colours, links and line ends"


def hostile_records() -> list[dict[str, Any]]:
    site = {"file": f"/srv/{EVIL}/a.py", "line": 3, "function": EVIL}
    header = {
        "type": "header", "pid": 1, "schema": 1, "poolscope": EVIL, "python": EVIL, "wall_at_zero": 0.0, "started_at": 0.0,
        "libraries": {f"requests{EVIL}": EVIL, "requests": EVIL}, "program": EVIL, "parent": None, "origins": [EVIL],
    }  # fmt: skip
    lines: list[dict[str, Any]] = [header]
    for number in range(1, 5):
        at = float(number)
        client = {
            "type": "client", "pid": 1, "id": number, "kind": "requests.get", "created_at": at, "construction_time": 0.5,
            "call_site": site, "sdk_call_site": site, "settings": 1,
        }  # fmt: skip
        connection = {
            "type": "connection", "pid": 1, "id": number, "client": number, "pool": None, "origin": f"http://{EVIL}",
            "via": EVIL, "opened_at": at, "setup": {EVIL: {"start": at, "duration": 0.1}, "total": {"start": at, "duration": 0.1}},
        }  # fmt: skip
        exchange = {
            "type": "exchange", "pid": 1, "id": number, "connection": number, "client": number, "pool": None,
            "origin": f"http://{EVIL}", "method": EVIL, "url": EVIL, "request_number": 1, "reused": False, "started_at": at,
            "finished_at": at + 0.2, "status": 200, "error": EVIL if number == 4 else None, "body_complete": True, "call_site": site,
        }  # fmt: skip
        closed = {
            "closed_at": at + 0.3,
            "close_time": 0.0,
            "close_reason": EVIL if number == 4 else "client_close",
        }
        lines += [
            client,
            connection,
            exchange,
            {**connection, **closed},
            {**client, "closed_at": at + 0.3, "close_kind": "close"},
        ]
    failed = {
        "type": "connection", "pid": 1, "id": 9, "client": None, "pool": None, "origin": f"http://{EVIL}", "via": None,
        "setup_started_at": 5.0, "failed_phase": EVIL, "error": EVIL, "closed_at": 6.0,
    }  # fmt: skip
    summary = {
        "type": "summary", "pid": 1, "ended_at": 9.0, "wall_time": 9.0, "exit_code": 0, "requests": 4, "connections": 4,
        "clients": 4, "facts_dropped": 1, "hooks_disabled": [EVIL], "children_not_followed": 0,
    }  # fmt: skip
    return [*lines, failed, summary]


@contextmanager
def prometheus(answer: Callable[[str], bytes]) -> Iterator[str]:
    """A Prometheus with the given answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def hostile_answer(path: str) -> bytes:
    del path
    labels = {"service_name": EVIL, "poolscope_finding_code": EVIL}
    return json.dumps({"data": {"result": [{"metric": labels, "value": [0, "3"]}]}}).encode()


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = tmp_path / "saved.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in hostile_records()), encoding="utf-8")
    return str(path)


VIEWS = {
    "view": ("view", "{file}"),
    "view without colours": ("view", "--no-color", "{file}"),
    "diff": ("diff", "{file}", "{file}"),
}


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=name, marks=[pytest.mark.regress] * (words[0] == "view"))
        for name, words in VIEWS.items()
    ],
)
def test_a_file(words: tuple[str, ...], saved: str, program: Program) -> None:
    terminal = Terminal()
    command = [*POOLSCOPE, *(word.format(file=saved) for word in words)]
    assert terminal.run(command, env=program.environment(), cwd=program.directory) == 0
    if words[0] == "view":
        assert SHOWN.search("\n".join(terminal.lines))
    terminal.was_not_steered()


@pytest.mark.parametrize(
    "words", [pytest.param(("view", "--json"), marks=pytest.mark.regress), ("diff", "--json")], ids=" ".join
)
def test_a_file_as_json_says_the_same_to_programs(
    words: tuple[str, ...], saved: str, program: Program
) -> None:
    terminal = Terminal()
    files = [saved] * (2 if words[0] == "diff" else 1)
    assert terminal.run([*POOLSCOPE, *words, *files], env=program.environment()) == 0
    terminal.was_not_steered()
    shown = json.loads(terminal.raw)
    names = shown["before"]["origins"] if words[0] == "diff" else {shown["origins"][0]["origin"]}
    assert f"http://{EVIL}" in names


@pytest.mark.regress
def test_two_origins_compared(saved: str, program: Program) -> None:
    """Only then does the comparison name the origins."""
    text = Path(saved).read_text(encoding="utf-8")
    other = program.directory / "other.jsonl"
    other.write_text(text.replace("http://", "https://"), encoding="utf-8")
    terminal = Terminal()
    assert terminal.run([*POOLSCOPE, "diff", saved, str(other)], env=program.environment()) == 0
    assert SHOWN.search("\n".join(terminal.lines))
    terminal.was_not_steered()


@pytest.mark.parametrize(
    "options", [pytest.param((), marks=pytest.mark.regress), ("--json",)], ids=["text", "json"]
)
def test_a_prometheus(options: tuple[str, ...], program: Program) -> None:
    terminal = Terminal()
    with prometheus(hostile_answer) as url:
        command = [*POOLSCOPE, "report", "--prometheus", url, *options]
        assert terminal.run(command, env=program.environment()) == 0
    terminal.was_not_steered()
    if options:
        assert json.loads(terminal.raw)["services"][0]["name"] == EVIL
    else:
        assert SHOWN.search("\n".join(terminal.lines))


@pytest.mark.regress
def test_a_prometheus_that_says_so_in_an_error(program: Program) -> None:
    terminal = Terminal()
    broken = json.dumps({"data": {"result": [{"metric": {}, "value": [0, EVIL]}]}}).encode()
    with prometheus(lambda path: broken) as url:
        command = [*POOLSCOPE, "report", "--prometheus", url]
        assert terminal.run(command, env=program.environment()) == 2
    terminal.was_not_steered()


OF_THE_FILE_SYSTEM = EVIL.replace("\x00", "").replace("\ud800", "")


@pytest.mark.regress
@pytest.mark.parametrize("content", ["", "{}\n", '{"type": "header"}\n', "cut"], ids=repr)
def test_the_name_of_a_file_in_an_error(content: str, program: Program) -> None:
    path = program.directory / f"{OF_THE_FILE_SYSTEM}.jsonl"
    path.write_text(content)
    terminal = Terminal()
    assert terminal.run([*POOLSCOPE, "view", str(path)], env=program.environment()) == 1
    terminal.was_not_steered()


LIVE = """
import httpcore, urllib3
class Failure(Exception): pass
Failure.__name__ = Failure.__qualname__ = EVIL
def refuse(*_, **__):
    raise Failure("no")
url = httpcore.URL(scheme=b"http", host=b"ev\\x1b[2J\\x9b2J\\nforged", port=1, target=b"/\\x1b[2J")
with httpcore.ConnectionPool() as pool:
    try:
        pool.request(b"GET", url)
    except (httpcore.ConnectError, UnicodeError):
        pass
with urllib3.PoolManager(retries=False) as manager:
    for number in range(2):
        try:
            manager.request("GET", URL, preload_content=False).release_conn()
        except Failure:
            pass
        urllib3.connection.HTTPConnection.getresponse = refuse
"""


@pytest.mark.regress
@pytest.mark.parametrize(
    "options", [(), ("--no-color",), ("--json", "-o", "-")], ids=lambda options: " ".join(options)
)
def test_a_run_against_a_server_of_that_name(options: tuple[str, ...], program: Program) -> None:
    script = program.directory / f"{OF_THE_FILE_SYSTEM}.py"
    script.write_text(f"EVIL, URL = {OF_THE_FILE_SYSTEM!r}, {program.server.url('/fixed/1')!r}\n{LIVE}")
    terminal = Terminal()
    command = [*POOLSCOPE, "run", *options, str(script)]
    assert terminal.run(command, env=program.environment(), cwd=program.directory) == 0
    assert "Failure" not in "".join(terminal.lines)
    assert "ev" in "".join(terminal.lines)
    terminal.was_not_steered()


def test_a_terminal_can_be_steered() -> None:
    """Otherwise the checks above would pass without proving anything."""
    for what, text in HOSTILE.items():
        terminal = Terminal()
        code = f"import sys; sys.stdout.buffer.write({f'ev{text}il'!r}.encode('utf-8', 'replace'))"
        terminal.run(["python3", "-c", code], env=dict(os.environ))
        if what == "half a character":
            continue
        with pytest.raises(AssertionError):
            terminal.was_not_steered()
