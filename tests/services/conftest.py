"""Real services, started with ``opentelemetry-instrument`` and nothing else, with a downstream and a receiver."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import requests

from tests.receiver import Receiver, receiving
from tests.servers import Running, in_process

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = {
    "django": ("gunicorn", "-w", "4", "--bind", "fd://{fd}", "tests.services.django_app:application"),
    "fastapi": ("uvicorn", "--fd", "{fd}", "--no-access-log", "tests.services.fastapi_app:app"),
}
MEETING = 2
"""How many workers serve a request at the same time at least, however fast the first one is."""
OFFICIAL = "aiohttp-client,httpx,requests,urllib3"


@contextmanager
def meeting(workers: int) -> Iterator[int]:
    """A port that answers when so many have called: each is another worker, and all are serving a request then."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=_let_go, args=(door, workers), daemon=True)
        thread.start()
        yield int(door.getsockname()[1])


def _let_go(door: socket.socket, workers: int) -> None:
    with ExitStack() as there:
        came = [there.enter_context(door.accept()[0]) for _ in range(workers)]
        for each in came:
            each.sendall(b".")


class Service:
    """A service that is listening."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self.process = process
        self.said = ""

    def ask(self, paths: list[str]) -> None:
        """Request all of ``paths``, eight at a time, each on its own connection."""
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(self._ask, paths))
        assert all(status == 200 for answer in answers for status in answer.values())

    def _ask(self, path: str) -> dict[str, int]:
        answer = requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=60)
        assert answer.status_code == 200, answer.text
        counted: dict[str, int] = answer.json()
        return counted

    def stop(self, how: int = signal.SIGINT) -> None:
        # SIGTERM kills uvicorn without Python's exit handlers; SIGINT lets it end normally.
        self.process.send_signal(how)
        self.said = self.process.communicate(timeout=90)[1]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def downstream() -> Iterator[Running]:
    with in_process() as running:
        yield running


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Entries for PYTHONPATH by which the entry point is found, even where poolscope is only on the path."""
    directory = tmp_path_factory.mktemp("installed")
    if not entry_points(group="opentelemetry_instrumentor", name="poolscope"):
        about = directory / "poolscope-0.1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: poolscope\nVersion: 0.1.0\n")
        (about / "entry_points.txt").write_text(
            "[opentelemetry_instrumentor]\npoolscope = poolscope.otel:PoolscopeInstrumentor\n"
        )
    return os.pathsep.join([str(ROOT / "src"), str(ROOT), str(directory)])


@contextmanager
def serving(
    kind: str,
    installed: str,
    downstream: Running,
    receiver: Receiver,
    *options: str,
    protocol: str = "grpc",
    starter: tuple[str, ...] = (),
    **env: str,
) -> Iterator[Service]:
    """The service of this kind under ``opentelemetry-instrument``, or ``starter``; ends with the block."""
    program, *arguments = COMMANDS[kind]
    scripts = Path(sys.executable).parent
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, meeting(MEETING) as met_at:
        listener.set_inheritable(True)
        words = [word.format(fd=listener.fileno()) for word in arguments]
        begin = starter or (str(scripts / "opentelemetry-instrument"),)
        command = [*begin, str(scripts / program), *options, *words]
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "POOLSCOPE"))
        }
        environment = (
            plain
            | receiver.environment(protocol)
            | {"OTEL_PYTHON_POOLSCOPE_SETUP_SPANS": "full", "OTEL_PYTHON_POOLSCOPE_EVENTS": "all"}
            | {"PYTHONPATH": installed, "DOWNSTREAM": downstream.url("/fixed/4"), "OTEL_SERVICE_NAME": kind}
            # gunicorn puts a control socket in its home
            | {
                "DJANGO_SETTINGS_MODULE": "tests.services.django_settings",
                "HOME": installed.rpartition(os.pathsep)[2],
                "MEETING": str(met_at),
            }
            | env
        )
        with subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[listener.fileno()],
        ) as process:
            service = Service(listener.getsockname()[1], process)
            try:
                yield service
            finally:
                if process.poll() is None:
                    service.stop()
