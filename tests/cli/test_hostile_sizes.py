"""Files and answers made to fill the memory, or to keep a command waiting for ever."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.cli.conftest import Program
from tests.cli.test_control_characters import prometheus

pytestmark = pytest.mark.processes
MEGABYTES = 200
MEASURED = (
    "import re, sys\nfrom poolscope.cli.main import main\n"
    "try:\n    main(sys.argv[1:])\n"
    "finally:\n    print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)\n"
)
HEADER = {
    "type": "header", "pid": 1, "schema": 1, "poolscope": "0", "python": "3", "wall_at_zero": 0.0, "started_at": 0.0,
}  # fmt: skip
SUMMARY = {
    "type": "summary", "pid": 1, "ended_at": 9.0, "wall_time": 9.0, "exit_code": 0, "requests": 0, "connections": 0, "clients": 0,
}  # fmt: skip


def client(number: int, pid: int = 1) -> dict[str, object]:
    site = {"file": f"/srv/{number}/{'f' * 300}.py", "line": 1, "function": f"{number}{'g' * 300}"}
    return {
        "type": "client", "pid": pid, "id": number, "kind": f"kind {number}", "created_at": 1.0, "construction_time": 0.1,
        "call_site": site, "sdk_call_site": site,
    }  # fmt: skip


def connection(number: int, client: int | None, origin: str, **more: object) -> dict[str, object]:
    return {
        "type": "connection", "pid": 1, "id": number, "client": client, "pool": None, "origin": origin, "via": None,
        "opened_at": 1.0, "setup": {"total": {"start": 1.0, "duration": 0.1}}, **more,
    }  # fmt: skip


def exchange(number: int, client: int, origin: str, **more: object) -> dict[str, object]:
    return {
        "type": "exchange", "pid": 1, "id": number, "connection": None, "client": client, "pool": None, "origin": origin,
        "method": "GET", "url": origin, "started_at": 1.0, "finished_at": 1.1, "status": 200, **more,
    }  # fmt: skip


def never_closed() -> Iterator[object]:
    for number in range(40_000):
        yield client(number)
        yield connection(number, number, f"http://{number}.{'o' * 200}")


def of_one_client() -> Iterator[object]:
    yield client(1)
    for number in range(120_000):
        yield connection(number, 1, f"http://{number % 900}")
        yield exchange(number, 1, f"http://{number % 900}", previous=number)


def errors_of_every_name() -> Iterator[object]:
    for number in range(50_000):
        origin = f"http://{number % 1_500}"
        phases = {f"{number} {phase}": {"start": 1.0, "duration": 0.1} for phase in range(20)}
        failed = {"error": f"{number}{'e' * 300}", "failed_phase": f"{number}{'p' * 300}", "closed_at": 2.0}
        yield connection(number, None, origin, **failed) | {"opened_at": None, "setup": phases}


def processes() -> Iterator[object]:
    for pid in range(1, 30_000):
        libraries = {f"{pid}{'n' * 50}{number}": f"{number}{pid}" for number in range(30)}
        yield HEADER | {"pid": pid, "program": f"{pid}{'p' * 500}", "libraries": libraries}
        yield SUMMARY | {"pid": pid, "hooks_disabled": [f"{pid} {number}" for number in range(20)]}


def habits() -> Iterator[object]:
    for number in range(25_000):
        origin, opened = f"http://{number}", client(number)
        yield opened
        yield from (exchange(2 * number + more, number, origin, connection=number) for more in range(2))
        yield opened | {"closed_at": 2.0, "close_kind": "close", "settings": 1}


def dense_lines() -> Iterator[object]:
    yield HEADER | {"libraries": [{} for _ in range(1_000_000)]}


def no_line_end() -> Iterator[object]:
    yield "x" * 100_000_000


SHAPES: dict[str, Callable[[], Iterator[object]]] = {
    shape.__name__: shape
    for shape in (
        never_closed,
        of_one_client,
        errors_of_every_name,
        processes,
        habits,
        dense_lines,
        no_line_end,
    )
}
GREW = ("never_closed", "of_one_client", "errors_of_every_name", "processes")


@pytest.mark.long(reason="reads files of up to 100 MB")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "shape", [pytest.param(name, marks=[pytest.mark.regress] * (name in GREW)) for name in SHAPES]
)
def test_a_file_is_read_in_bounded_memory(shape: str, program: Program, tmp_path: Path) -> None:
    path = tmp_path / "hostile.jsonl"
    with path.open("w") as file:
        file.write(json.dumps(HEADER) + "\n")
        for line in SHAPES[shape]():
            file.write(json.dumps(line) + "\n")
    for words in (["view"], ["view", "--json"], ["diff", str(path)]):
        done = measured(program, *words, str(path))
        assert "Traceback" not in done.stderr, done.stderr[-2_000:]
        assert peak(done) < MEGABYTES


def measured(program: Program, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MEASURED, *words],
        env=program.environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def peak(done: subprocess.CompletedProcess[str]) -> int:
    """Megabytes."""
    return int(done.stderr.splitlines()[-1]) // 1024


def series(labels: dict[str, str], value: str = "1") -> str:
    return json.dumps({"metric": labels, "value": [0, value]})


ANSWERS: dict[str, Callable[[], bytes]] = {
    "many services": lambda: (
        '{"data":{"result":[' + ",".join(series({"service_name": f"s{n}"}) for n in range(60_000)) + "]}}"
    ).encode(),
    "one long name": lambda: (
        '{"data":{"result":['
        + ",".join(
            [
                series({"service_name": "n" * 3_000_000}),
                *(series({"service_name": f"{n}"}) for n in range(9_000)),
            ]
        )
        + "]}}"
    ).encode(),
    "dense": lambda: b'{"data":{"result":[' + b",".join([b"{}"] * 1_300_000) + b"]}}",
    "too large": lambda: b'{"data":' + b" " * 300_000_000,
}


@pytest.mark.regress
@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_is_read_in_bounded_memory(what: str, program: Program) -> None:
    body = ANSWERS[what]()
    with prometheus(lambda path: body) as url:
        done = measured(program, "report", "--prometheus", url)
    assert "Traceback" not in done.stderr, done.stderr[-2_000:]
    assert peak(done) < MEGABYTES
    assert len(done.stdout) < 1_000_000


@contextmanager
def dripping(beginning: bytes, drop: bytes) -> Iterator[str]:
    """A server that sends a byte now and then, each time just before a timeout."""
    over = Event()

    def drip(client: socket.socket) -> None:
        with client:
            client.recv(65_536)
            try:
                client.sendall(beginning)
                while not over.wait(0.05):
                    client.sendall(drop)
            except OSError:  # the client has closed
                return

    def accept() -> None:
        while not over.is_set():
            try:
                threads.append(Thread(target=drip, args=(listener.accept()[0],)))
            except TimeoutError:
                continue
            threads[-1].start()

    threads: list[Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        accepting = Thread(target=accept)
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            for thread in (accepting, *threads):
                thread.join()


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["headers", "body", "chunks"],
)
def test_a_server_that_drips_is_given_up_in_time(beginning: bytes, drop: bytes, program: Program) -> None:
    began = time.monotonic()
    with dripping(beginning, drop) as url:
        done = program.poolscope("report", "--prometheus", url, "--timeout", "1")
    assert done.returncode == 2
    assert done.stderr == f"poolscope: no answer from {url} within 1 s in total\n"
    assert time.monotonic() - began < 20


def test_a_redirect_to_a_file_is_not_followed(program: Program, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"data": {"result": []}}')
    location = f"Location: {secret.as_uri()}".encode()
    with dripping(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location + b"\r\n\r\n", b"") as url:
        done = program.poolscope("report", "--prometheus", url, "--timeout", "20")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
