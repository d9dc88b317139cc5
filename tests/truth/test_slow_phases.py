"""A phase of a setup was slow: was that the program itself, or the network and the server?

Each library opens a connection while its program is busy, and again while the program waits for others. What is known
must be right both times; what cannot be seen stays unknown.
"""

from __future__ import annotations

import ctypes
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import anyio
import pytest
import trio

import poolscope.testing
from poolscope.records import Phase
from tests.servers import Certificates, Scripted, scripted
from tests.servers.scripted import Peer
from tests.story.beats import Beats
from tests.truth.watching import until, watch

pytestmark = pytest.mark.load

ON_ASYNCIO = ("httpx-asyncio", "aiohttp")
IN_THREADS = ("httpx-sync", "requests")
LONG = 0.06
"""Seconds that the loop is busy at a time."""
TIMES = 3
"""A server on a busy machine may be late, so that trio's loop waits for its answer: once of so many times it is not."""
SLOW = 0.4
"""Seconds until the slow server answers."""
SO_MEMINFO, DROPS = 55, 8
"""Linux's count of what a socket dropped."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def over_tls(
    certificates: Certificates, delay: float = 0.0, connections: int = 1
) -> Callable[[Scripted], None]:
    """The server waits for ``delay`` seconds before it takes part in each handshake, which the client has begun."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)

    def script(server: Scripted) -> None:
        for _ in range(connections):
            with server.accept() as peer:
                peer.sock.recv(1, socket.MSG_PEEK)
                time.sleep(delay)
                peer.start_tls(context)
                peer.read_head()
                peer.answer(b"ok", "200 OK", "Connection: close")
                peer.wait_for_close()

    return script


@contextmanager
def on_its_loop(probe: Any, work: Callable[[], Awaitable[None]], stop: Callable[[], None]) -> Iterator[None]:
    working = probe.portal.start_task_soon(work)
    try:
        yield
    finally:
        stop()
        working.result()


def busy_loop(probe: Any) -> AbstractContextManager[None]:
    """The event loop does other work for `LONG` seconds, again and again."""
    stop = threading.Event()

    async def work() -> None:
        while not stop.is_set():
            time.sleep(LONG)
            await anyio.sleep(0)

    return on_its_loop(probe, work, stop.set)


@contextmanager
def beating_loop(probe: Any) -> Iterator[Beats | None]:
    """The heartbeat of an asyncio loop; only there, a busy machine looks like a busy program."""
    if "asyncio" not in probe.tags:
        yield None
        return
    beats = Beats()
    with on_its_loop(probe, beats.run, lambda: setattr(beats, "stopping", True)):
        yield beats


class BusyBeforeEachWait(trio.abc.Instrument):
    """trio runs what is due in random order: other work for `LONG` seconds comes certainly between that and a look
    at what has arrived."""

    def before_io_wait(self, timeout: float) -> None:
        time.sleep(LONG)


def keeping_the_gil(certificates: Certificates) -> Callable[[Scripted], None]:
    """The server's thread keeps the GIL, as an extension in C may, each time that it has sent something."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    libc = ctypes.PyDLL(None)

    def send(peer: Peer, data: bytes) -> None:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(60)  # nobody gets the GIL between the two calls
        try:
            libc.send(peer.sock.fileno(), data, len(data), 0)
            libc.usleep(int(2 * LONG * 1e6))
        finally:
            sys.setswitchinterval(usual)

    def script(server: Scripted) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        with server.accept() as peer:
            for step in (tls.do_handshake, tls.read, partial(tls.write, ANSWER)):
                while not _is_done(step):
                    send(peer, outgoing.read())
                    incoming.write(peer.sock.recv(65536))
            send(peer, outgoing.read())
            peer.wait_for_close()

    return script


def _is_done(step: Callable[[], object]) -> bool:
    try:
        step()
    except ssl.SSLWantReadError:
        return False
    return True


def setup_of(captured: poolscope.testing.Capture) -> dict[str, Phase]:
    (connection,) = captured.connections
    return connection.setup


def busy_in(phase: Phase) -> float:
    assert phase.busy is not None
    assert 0 <= phase.busy <= phase.duration
    return phase.busy


def assert_that_others_took(seconds: float, phase: Phase, beats: Beats | None) -> None:
    """It took so long, and the program's busy time is no part of that, except where its loop stood still for any reason."""
    busy = busy_in(phase)
    if beats is not None:
        busy = max(0.0, busy - beats.stood_still(phase.start, phase.start + phase.duration))
    assert phase.duration - busy >= 0.9 * seconds


@pytest.mark.parametrize("name", ON_ASYNCIO)
def test_the_event_loop_was_busy(name: str, certificates: Certificates) -> None:
    server_side, trust = over_tls(certificates), certificates.trusting()
    with scripted(server_side) as server, watch(name, trust=trust) as (probe, captured), busy_loop(probe):
        assert probe.get(server.url(scheme="https")) is None
    setup = setup_of(captured)
    assert setup["connect"].duration >= LONG
    for phase in ("dns", "connect", "tls", "total"):
        assert busy_in(setup[phase]) >= 0.7 * setup[phase].duration


def test_trios_loop_was_busy(certificates: Certificates) -> None:
    """For how long the last answer was not looked at is known."""
    server_side, trust = over_tls(certificates, connections=TIMES), certificates.trusting()

    async def becomes_busy() -> None:
        trio.lowlevel.add_instrument(BusyBeforeEachWait())

    with scripted(server_side) as server, watch("httpx-trio", trust=trust) as (probe, captured):
        probe.run(becomes_busy)
        for _ in range(TIMES):
            assert probe.get(server.url(scheme="https")) is None
    setups = [connection.setup for connection in captured.connections]
    assert len(setups) == TIMES
    assert all(setup["dns"].busy is None for setup in setups)
    assert max(busy_in(setup["connect"]) for setup in setups) >= LONG / 2
    assert max(busy_in(setup["tls"]) for setup in setups) >= LONG / 2


@pytest.mark.parametrize("name", IN_THREADS)
def test_another_thread_kept_the_gil(name: str, certificates: Certificates) -> None:
    server_side, trust = keeping_the_gil(certificates), certificates.trusting()
    with scripted(server_side) as server, watch(name, trust=trust) as (probe, captured):
        assert probe.get(server.url(scheme="https")) is None
        probe.close()
    setup = setup_of(captured)
    assert setup["tls"].duration >= LONG
    assert busy_in(setup["tls"]) >= LONG


@pytest.mark.parametrize("name", (*ON_ASYNCIO, "httpx-trio", *IN_THREADS))
def test_the_server_was_slow_to_shake_hands(name: str, certificates: Certificates) -> None:
    server_side, trust = over_tls(certificates, SLOW), certificates.trusting()
    with scripted(server_side) as server, watch(name, trust=trust) as (probe, captured):
        with beating_loop(probe) as beats:
            assert probe.get(server.url(scheme="https")) is None
        probe.close()
    setup = setup_of(captured)
    for phase in ("tls", "total"):
        assert_that_others_took(SLOW, setup[phase], beats)


@pytest.mark.parametrize("name", ("httpx-asyncio", "httpx-sync", "requests"))
def test_the_network_lost_a_packet(name: str) -> None:
    """Linux drops a SYN if the listener's queue is full, and the client repeats it after a second."""
    with socket.socket() as listener, socket.socket() as first, watch(name) as (probe, captured):
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        with beating_loop(probe) as beats:
            getting = probe.begin(probe.getting(f"http://127.0.0.1:{listener.getsockname()[1]}/"))
            until(lambda: dropped(listener))
            listener.accept()[0].close()
            with listener.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                getting.result()
    assert_that_others_took(0.9, setup_of(captured)["connect"], beats)


def dropped(listener: socket.socket) -> int:
    counts = struct.unpack("9I", listener.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, struct.calcsize("9I")))
    return counts[DROPS]
