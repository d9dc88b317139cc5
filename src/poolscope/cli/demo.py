"""``poolscope demo``: every example under ``poolscope run``, against a server of our own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import TracebackType
from typing import Final, Self

import click

from poolscope.recording.errors import CommandError
from poolscope.recording.stderr import say

INSTALL: Final = "pip install 'poolscope[demo]'"


class NotPossibleError(CommandError):
    """The demo cannot run here."""


@dataclass(slots=True, frozen=True)
class Example:
    """One program of ``examples/``."""

    name: str
    library: str
    shows: str
    look: str
    """What its report shows, and what that means."""
    scheme: str = "http"
    count: int | None = None
    """How many requests to make; None for the example's own number."""


EXAMPLES: Final = (
    Example(
        "seed",
        "requests",
        "both ways: 1,000 requests on 1,000 connections, and on one",
        "CONNECTIONS: one per request in the first row, a single one in the second. The finding names the"
        " line to change. (response.elapsed contains the setup, so there it looks like a slow server.)",
    ),
    Example(
        "https_both_ways",
        "requests",
        "what a connection for every request costs with TLS",
        "cost: with https every new connection also loads the CA certificates (tls context, the client's own CPU)"
        " and makes a TLS handshake (tls). On a network every round trip would add to it.",
        scheme="https",
    ),
    Example(
        "httpx_client_per_call",
        "httpx",
        "httpx.get, a client in a function, and one client",
        "cost (building): httpx.Client() loads the CA certificates, for plain http as well, so a client for every call"
        " costs more than its connection. `with httpx.Client()` belongs around the loop, not inside the function.",
    ),
    Example(
        "httpx_shared",
        "httpx",
        "one AsyncClient for parallel requests",
        "CONNECTIONS: as many as requests run at once (10), however many requests there are. No finding. (WAITING:"
        " httpcore may give a free connection to several requests; those that come too late wait again.)",
    ),
    Example(
        "httpx_all_at_once",
        "httpx",
        "one by one, all at once, and 20 at a time",
        "WAITING and CONNECTIONS of all_at_once: each time a request starts or ends, the pool scans every waiting"
        " request and every connection, in your process. It keeps 20, so most connections are closed after one"
        " request (max keepalive surplus) and others opened. Sending 20 at a time needs only 20.",
        count=300,
    ),
    Example(
        "debug_log",
        "requests",
        "what urllib3's DEBUG log shows",
        'The log has one "Starting new HTTP connection" for every connection in the report: it counts them, but'
        " does not say which client opened them, what they cost, or why they were closed.",
    ),
    Example(
        "unread_body",
        "requests",
        "responses that are not read to the end",
        "closed: a connection with an unread response cannot be used again. Read it; if you need only the headers, send HEAD without stream.",
    ),
    Example(
        "pool_too_small",
        "requests",
        "more threads than the pool keeps connections",
        "closed: 20 threads, but the pool keeps 10, so each connection returned to a full pool is closed"
        " (pool full). HTTPAdapter(pool_maxsize=20) keeps them all.",
    ),
    Example(
        "server_closes",
        "requests",
        "a server that does not keep connections",
        "closed: the server sent `Connection: close`. The client's code is right; ask the operator of the server or"
        " of the proxy in front of it.",
    ),
)


def listing() -> str:
    """The examples, one a line."""
    return "".join(f"{example.name:<24}{example.shows}\n" for example in EXAMPLES)


def directory() -> str:
    """Where the examples are: in the installed package, or beside ``src/`` in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for place in (os.path.join(package, "examples"), os.path.join(package, "..", "..", "examples")):
        if os.path.exists(os.path.join(place, "seed.py")):
            return os.path.normpath(place)
    raise NotPossibleError("the examples are not installed; run the demo from a checkout")


def show(names: Sequence[str], delay: float, count: int) -> None:
    """Run the examples (all, or those named) one after the other. ``delay`` in seconds."""
    unknown = [name for name in names if name not in {example.name for example in EXAMPLES}]
    if unknown:
        raise NotPossibleError(f"no example is called {unknown[0]!r}; --list names them")
    if delay < 0 or count < 1:
        raise NotPossibleError("--delay must not be negative, --requests must be at least 1")
    chosen = [example for example in EXAMPLES if not names or example.name in names]
    if not any(find_spec(example.library) for example in chosen):
        wanted = " and ".join(sorted({example.library for example in chosen}))
        raise NotPossibleError(f"the demo needs {wanted}, not installed here: {INSTALL}")
    with tempfile.TemporaryDirectory() as keep, Server(delay, keep) as server:
        # A copy: a file inside the installed package would count as a library, not as a program.
        shutil.copytree(directory(), os.path.join(keep, "examples"))
        say(reach(delay, tls="https" in server.ports))
        for example in chosen:
            _show(replace(example, count=count) if example.name == "seed" else example, server)
    say(click.style("\nNext, try a program of your own:", bold=True) + "  poolscope run your_program.py")


def reach(delay: float, *, tls: bool) -> str:
    """Which phases the server's delay reaches, and which it cannot."""
    handshake = " before every TLS handshake (phase tls) and" if tls else ""
    return (
        f"The requests go to an embedded server on this machine. It waits {delay * 1000:g} ms{handshake} before every answer;\n"
        "this does not make dns, connect, tls context and building longer."
    )


def _show(example: Example, server: Server) -> None:
    say("\n" + click.style(f"── {example.name}: {example.shows} ", bold=True), nl=False)
    say("─" * max(2, 76 - len(example.name) - len(example.shows)))
    if find_spec(example.library) is None:
        say(f"{example.library} is not installed: skipped ({INSTALL})")
        return
    if example.scheme not in server.ports:
        say(f"trustme is not installed, so there is no certificate: skipped ({INSTALL})")
        return
    count = [] if example.count is None else [str(example.count)]
    command = ["run", f"examples/{example.name}.py", server.url(example.scheme), *count]
    say(click.style(f"$ poolscope {' '.join(command)}", dim=True))
    sys.stdout.flush()
    before = server.counts(example.scheme)
    status = subprocess.run(  # noqa: S603  (our own interpreter, our own examples)
        [sys.executable, "-m", "poolscope", *command], cwd=server.keep, env=server.environment(), check=False
    ).returncode
    accepted, served = (now - was for now, was in zip(server.counts(example.scheme), before, strict=True))
    say(f"The server counted {accepted:,} connections and {served:,} requests.")
    if status != 0:
        raise NotPossibleError(f"the example {example.name} ended with status {status}")
    look = textwrap.fill(
        example.look, 96, initial_indent="→ ", subsequent_indent="  ", break_on_hyphens=False
    )
    say(click.style(look, bold=True))


class Server:
    """The embedded server, in a process of its own, so that it does not share the example's interpreter."""

    def __init__(self, delay: float, keep: str) -> None:
        self.keep = keep
        self._authority = os.path.join(keep, "authority.pem")
        command = [sys.executable, "-m", "poolscope.cli.demo_server", str(delay), *self._certificate(keep)]
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter, our own server)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_without_recording()
        )
        self.ports: dict[str, int] = json.loads(self._read())

    def __repr__(self) -> str:
        return f"<Server {self.ports}>"

    def _certificate(self, keep: str) -> list[str]:
        """Files for the server, and the authority that signed it for the examples."""
        if find_spec("trustme") is None:
            return []
        import trustme

        authority = trustme.CA()
        with open(self._authority, "wb") as file:
            file.write(_public_authorities() + authority.cert_pem.bytes())
        issued = authority.issue_cert("localhost", "127.0.0.1")
        certificate, key = os.path.join(keep, "server.pem"), os.path.join(keep, "server.key")
        with open(certificate, "wb") as file:
            file.write(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return [certificate, key]

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise NotPossibleError("the embedded server did not start")
        return line

    def url(self, scheme: str) -> str:
        """Its addresses."""
        return f"{scheme}://127.0.0.1:{self.ports[scheme]}/"

    def counts(self, scheme: str) -> list[int]:
        """(connections accepted, requests served) so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        counts: dict[str, list[int]] = json.loads(self._read())
        return counts[scheme]

    def environment(self) -> dict[str, str]:
        """The examples' environment: they trust the server's certificate."""
        environment = _without_recording()
        if "PYTHONPATH" in environment:  # its entries count from here, not from where the examples run
            entries = environment["PYTHONPATH"].split(os.pathsep)
            environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries))
        if "https" in self.ports:
            environment |= {"SSL_CERT_FILE": self._authority, "REQUESTS_CA_BUNDLE": self._authority}
        return environment

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _public_authorities() -> bytes:
    """What clients load by default, so that loading takes as long as it does elsewhere."""
    if find_spec("certifi") is None:
        return b""
    import certifi

    return certifi.contents().encode()


def _without_recording() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("POOLSCOPE")}
