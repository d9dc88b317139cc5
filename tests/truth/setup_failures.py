"""Ways in which a connection's setup fails, each caused on loopback.

A failure is a context manager that breaks something, and yields the address to use and how to build the
client. Names under ``.test`` resolve to this machine; some of them cannot be resolved.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.servers import Certificates, Peer, Scripted, ServerConfig, in_thread, scripted

HERE = "here.test"
NOWHERE = "nowhere.test"
PONDERED = "pondered.test"
"""A name with a lookup that ends only with the test."""
REFUSED = "refused.test"
"""A name that the truth servers' proxies refuse to connect to."""


@dataclass(slots=True)
class Cause:
    """The address, and how to build the client."""

    url: str
    options: dict[str, Any] = field(default_factory=dict)
    stuck: threading.Event | None = None
    """Set once setup hangs, where the other side can see that."""


Failure = Callable[[Certificates], AbstractContextManager[Cause]]


class Names:
    """Resolves ``*.test`` names without any server: every library resolves by ``socket``."""

    def __init__(self) -> None:
        self.original = socket.getaddrinfo
        self.pondering = threading.Event()
        """Set when `PONDERED` is looked up."""
        self.released = threading.Event()
        """Lets that lookup end."""

    def getaddrinfo(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        # trio first asks, in its own thread, whether it is an address: that must not wait.
        address_only = (*args, 0, 0, 0, 0, 0)[4] & socket.AI_NUMERICHOST
        if name == PONDERED and not address_only:
            self.pondering.set()
            assert self.released.wait(30)
        if name in (NOWHERE, PONDERED):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.original("127.0.0.1" if name.endswith(".test") else host, *args, **kwargs)


@contextmanager
def names_of_our_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Resolve ``*.test`` names by `Names` in the block."""
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    try:
        yield names
    finally:
        names.released.set()


@contextmanager
def name_not_resolved(_: Certificates) -> Iterator[Cause]:
    yield Cause(f"http://{NOWHERE}/")


@contextmanager
def lookup_unanswered(_: Certificates) -> Iterator[Cause]:
    yield Cause(f"http://{PONDERED}/")


@contextmanager
def refused(_: Certificates) -> Iterator[Cause]:
    with socket.socket() as unheard:  # bound, so that nobody else gets the port, but not listening
        unheard.bind(("127.0.0.1", 0))
        yield Cause(f"http://{HERE}:{unheard.getsockname()[1]}/")


@contextmanager
def connect_unanswered(_: Certificates) -> Iterator[Cause]:
    """With a backlog of zero, Linux accepts one connection and drops every later SYN."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        stack.enter_context(socket.create_connection(address))
        yield Cause(f"http://127.0.0.1:{address[1]}/")


@contextmanager
def untrusted(certificates: Certificates) -> Iterator[Cause]:
    with in_thread(ServerConfig(certificate=certificates.server)) as server:
        yield Cause(f"https://{HERE}:{server.port}/")  # a client that trusts only given authorities


def _scripted(
    play: Callable[[Scripted, Peer, threading.Event], None], scheme: str, **options: Any
) -> Failure:
    """A server where ``play`` handles the first connection; a proxy if ``scheme`` is a proxy's."""

    @contextmanager
    def failure(certificates: Certificates) -> Iterator[Cause]:
        stuck = threading.Event()

        def script(server: Scripted) -> None:
            with server.accept() as peer:
                play(server, peer, stuck)

        with scripted(script) as server:
            given = {"trust": certificates.trusting(), **options}
            if scheme == "https":
                yield Cause(f"https://{HERE}:{server.port}/", given, stuck)
            else:
                given["proxy"] = f"{scheme}://127.0.0.1:{server.port}"
                yield Cause("https://origin.test/", given, stuck)

    return failure


def _speaks_plain(_server: Scripted, peer: Peer, _stuck: threading.Event) -> None:
    peer.sock.recv(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    peer.wait_for_close()


def _hangs_up(_server: Scripted, peer: Peer, _stuck: threading.Event) -> None:
    peer.sock.recv(65536)


def _resets(_server: Scripted, peer: Peer, _stuck: threading.Event) -> None:
    peer.sock.recv(1)
    peer.reset()


def _is_silent(_server: Scripted, peer: Peer, stuck: threading.Event) -> None:
    peer.sock.recv(1)
    stuck.set()
    peer.wait_for_close()


def _forbids(_server: Scripted, peer: Peer, _stuck: threading.Event) -> None:
    peer.read_head()
    peer.answer(b"no", "403 Forbidden")
    peer.wait_for_close()


speaks_plain = _scripted(_speaks_plain, "https")
hangs_up_in_the_handshake = _scripted(_hangs_up, "https")
resets_in_the_handshake = _scripted(_resets, "https")
handshake_unanswered = _scripted(_is_silent, "https")
tunnel_forbidden = _scripted(_forbids, "http")
tunnel_hung_up = _scripted(_hangs_up, "http")
tunnel_unanswered = _scripted(_is_silent, "http")
socks_unanswered = _scripted(_is_silent, "socks5h")


@contextmanager
def tunnel_unauthorised(certificates: Certificates) -> Iterator[Cause]:
    with in_thread(ServerConfig("proxy", credentials=("user", "password"))) as proxy:
        yield Cause(f"https://{HERE}/", {"proxy": proxy.origin, "trust": certificates.trusting()})


@contextmanager
def socks_refused(_: Certificates) -> Iterator[Cause]:
    with in_thread(ServerConfig("socks")) as proxy:
        yield Cause(f"http://{REFUSED}/", {"proxy": f"socks5h://127.0.0.1:{proxy.port}"})


@contextmanager
def socks_unauthorised(_: Certificates) -> Iterator[Cause]:
    with in_thread(ServerConfig("socks", credentials=("user", "password"))) as proxy:
        yield Cause(f"http://{HERE}/", {"proxy": f"socks5h://user:wrong@127.0.0.1:{proxy.port}"})


@contextmanager
def proxy_down(certificates: Certificates) -> Iterator[Cause]:
    with refused(certificates) as cause:
        port = cause.url.rpartition(":")[2].rstrip("/")
        trust = certificates.trusting()
        yield Cause("https://origin.test/", {"proxy": f"http://{HERE}:{port}", "trust": trust})


@contextmanager
def untrusted_proxy(certificates: Certificates) -> Iterator[Cause]:
    with in_thread(ServerConfig("proxy", certificate=certificates.server)) as proxy:
        yield Cause("https://origin.test/", {"proxy": proxy.origin})


@contextmanager
def tls_behind_a_tunnel(certificates: Certificates) -> Iterator[Cause]:
    """The proxy connects us to a server that we do not trust."""
    with in_thread(ServerConfig(certificate=certificates.server)) as server:
        with in_thread(ServerConfig("proxy")) as proxy:
            yield Cause(f"https://localhost:{server.port}/", {"proxy": proxy.origin})
