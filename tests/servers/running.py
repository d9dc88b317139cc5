"""Truth servers for tests: in their own process (no shared GIL), or in a thread where that is enough."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tests.servers.config import ServerConfig
from tests.servers.listener import Listener
from tests.servers.log import ServerLog

_ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A server that listens; `log` is read out of band."""

    def __init__(self, config: ServerConfig, port: int | None, ask: Callable[[], ServerLog]) -> None:
        self.config = config
        self._port = port
        self._ask = ask

    @property
    def port(self) -> int:
        assert self._port is not None, "it listens on a unix socket"
        return self._port

    @property
    def host(self) -> str:
        return "localhost" if self.config.certificate else "127.0.0.1"

    @property
    def origin(self) -> str:
        return f"{'https' if self.config.certificate else 'http'}://{self.host}:{self.port}"

    def url(self, path: str) -> str:
        return self.origin + path

    def log(self) -> ServerLog:
        """What it has seen so far."""
        return self._ask()

    def settled(self, condition: Callable[[ServerLog], bool], timeout: float = 30.0) -> ServerLog:
        """Wait until ``condition`` holds (a close takes a moment to arrive); AssertionError after ``timeout`` s."""
        deadline = monotonic() + timeout
        while not condition(log := self._ask()):
            assert monotonic() < deadline, f"the server's log did not settle: {log}"
            sleep(0.01)
        return log


def ask_unobserved(url: str) -> None:
    """A request by no library, so poolscope knows nothing of it: it lets others go that wait at ``/together/…``."""
    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), 30) as sock:
        sock.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 200 ")


@contextmanager
def in_process(config: ServerConfig | None = None) -> Iterator[Running]:
    """A truth server in its own process; it ends with the block."""
    config = config or ServerConfig()
    command = [sys.executable, "-m", "tests.servers", config.to_json()]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def ask() -> ServerLog:
            questions.write("log\n")
            questions.flush()
            return ServerLog.from_plain(json.loads(answers.readline()))

        try:
            yield Running(config, json.loads(answers.readline()), ask)
        finally:
            questions.close()
            process.wait(10)


@contextmanager
def in_thread(config: ServerConfig | None = None) -> Iterator[Running]:
    """A truth server on an event loop in a thread; it ends with the block."""
    config = config or ServerConfig()
    listener = Listener(config)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    loop.run_until_complete(listener.start())
    thread = threading.Thread(target=loop.run_forever, name="truth server", daemon=True)
    thread.start()

    async def plain() -> list[dict[str, object]]:
        return await listener.seen()

    def ask() -> ServerLog:
        return ServerLog.from_plain(asyncio.run_coroutine_threadsafe(plain(), loop).result(10))

    try:
        yield Running(config, listener.port, ask)
    finally:
        asyncio.run_coroutine_threadsafe(listener.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
