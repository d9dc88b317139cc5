"""DNS time: measured where a name is looked up, absent elsewhere, and no answer is changed."""

from __future__ import annotations

import importlib
import socket
import threading
from pathlib import Path
from time import sleep
from types import TracebackType
from typing import Any

import pytest

from poolscope.libraries import resolver
from poolscope.testing import capture
from stack.running import free_port
from tests.servers import Running
from tests.truth.probes import HTTPX
from tests.truth.watching import watch

DELAY = 0.03
NAME = "slow-name.test"
on_all = pytest.mark.parametrize("name", HTTPX)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A slow resolver below everything; returns the names it was asked for."""
    questions: list[Any] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in (NAME, "unknown.test"):
            return real(host, port, *args, **kwargs)
        if (*args, 0, 0, 0, 0)[3] & socket.AI_NUMERICHOST:  # trio first asks whether it is an address
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        questions.append(name)
        sleep(DELAY)  # the function that is measured
        if name == "unknown.test":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return questions


@on_all
def test_a_lookup_is_a_phase_of_its_own(name: str, server: Running, asked: list[Any]) -> None:
    with watch(name) as (probe, captured):
        assert probe.get(f"http://{NAME}:{server.port}/fixed/1") is None
        assert probe.get(f"http://{NAME}:{server.port}/fixed/2") is None
    (connection,) = captured.connections
    assert asked == [NAME]
    assert list(connection.setup) == ["dns", "connect", "total"]
    dns, connect, total = connection.setup.values()
    assert DELAY <= dns.duration <= total.duration
    assert connect.start >= dns.start + dns.duration
    assert dns.duration + connect.duration <= total.duration + 1e-9


@on_all
def test_an_address_is_not_looked_up(name: str, server: Running) -> None:
    with watch(name) as (probe, captured):
        assert probe.get(server.url("/fixed/1")) is None
    assert list(captured.connections[0].setup) == ["connect", "total"]


@on_all
def test_an_unknown_name_fails_in_its_lookup(name: str, asked: list[Any]) -> None:
    with watch(name) as (probe, captured):
        assert probe.get("http://unknown.test/") == "ConnectError"
    (connection,) = captured.connections
    assert asked == ["unknown.test"]
    assert (connection.failed_phase, connection.opened_at) == ("dns", None)
    assert list(connection.setup) == ["dns", "total"]
    assert connection.setup["dns"].duration >= DELAY


def test_other_peoples_lookups_pass_through() -> None:
    bare = socket.getaddrinfo("127.0.0.1", 80)
    with capture():
        assert socket.getaddrinfo("127.0.0.1", 80) == bare
        with pytest.raises(socket.gaierror) as raised:
            socket.getaddrinfo("127.0.0.1", "no such service")
        files = []
        traceback: TracebackType | None = raised.tb
        while traceback is not None:
            files.append(traceback.tb_frame.f_code.co_filename)
            traceback = traceback.tb_next
    assert files == [__file__, socket.__file__]
    assert resolver.LOOKUPS.get() is None


def test_other_peoples_connects_pass_through(server: Running) -> None:
    bare = socket.create_connection
    with capture():
        with socket.create_connection((server.host, server.port)) as connected:
            assert connected.getpeername() == (server.host, server.port)
        with pytest.raises(ConnectionRefusedError) as raised:
            socket.create_connection((server.host, free_port()), 1.0, ("127.0.0.1", 0))
    assert {entry.path for entry in raised.traceback} == {Path(__file__), Path(socket.__file__)}
    assert socket.create_connection is bare


def test_a_create_connection_that_is_not_pythons_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *args, **options: None)
    assert resolver.one_after_the_other() == ()


def test_two_at_once_do_not_see_each_others_lookups(server: Running, asked: list[Any]) -> None:
    httpx = importlib.import_module("httpx")
    with capture() as captured:
        both = threading.Barrier(2)

        def ask(url: str) -> None:
            with httpx.Client() as client:
                both.wait(10)
                client.get(url)

        urls = [f"http://{NAME}:{server.port}/fixed/1", server.url("/fixed/2")]
        threads = [threading.Thread(target=ask, args=(url,)) for url in urls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    phases = {
        connection.origin.split("/")[2].partition(":")[0]: list(connection.setup)
        for connection in captured.connections
    }
    assert phases == {NAME: ["dns", "connect", "total"], "127.0.0.1": ["connect", "total"]}


@pytest.mark.parametrize(
    ("host", "literal"),
    [("127.0.0.1", True), (b"::1", True), ("localhost", False), (b"example.org", False)],
)
def test_literals(host: Any, literal: bool) -> None:
    assert resolver.is_literal(host) is literal
