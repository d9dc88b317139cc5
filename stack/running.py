"""Starts programs, waits until they answer, ends them: shared by the local stack and its tests."""

import argparse
import atexit
import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class CannotRunError(Exception):
    """The stack cannot start or go on; the text says in one line what to do."""


def answers(url: str, seconds: float = 2.0) -> bytes | None:
    """The body of a 200 answer, or None."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            body: bytes = answer.read()
            return body
    except (OSError, urllib.error.URLError, ValueError):
        return None


def ask(url: str, seconds: float = 20.0) -> Any:
    """The answer of a JSON API; raises OSError if there is none."""
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return json.load(answer)


def until(condition: Callable[[], Any], seconds: float, what: str, every: float = 0.2) -> Any:
    """Ask again and again until the answer is true, and return it; CannotRunError names what did not come."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise CannotRunError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(every)
    return found


def interval(text: str) -> float:
    """Seconds between two exports of metrics, for argparse: an export must end before the next one."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1.0 <= seconds <= 300.0:
        raise argparse.ArgumentTypeError(
            f"{text} does not fit: give seconds from 1 to 300 (after 300 Prometheus takes a series for gone)"
        )
    return seconds


_claims: list[socket.socket] = []


@atexit.register
def _give_ports_back() -> None:
    for claim in _claims:
        claim.close()


def free_port() -> int:
    """A port of 127.0.0.1 that is free now and stays so until a server listens on it.

    The bound socket stays open: the kernel then gives the port to no outgoing connection and to no
    other caller, yet lets a server with SO_REUSEADDR listen. Otherwise a Collector's connection
    once took the port that a Jaeger was about to listen on.
    """
    claim = socket.socket()
    claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    claim.bind(("127.0.0.1", 0))
    _claims.append(claim)
    port: int = claim.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def require_free(ports: Mapping[str, int]) -> None:
    """Raise CannotRunError that names the first port that is in use."""
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise CannotRunError(
                    f"port {port}, wanted for {name}, is in use: end what listens there (ss -ltnp 'sport = :{port}'), "
                    "or let free ports be chosen with --any-ports"
                ) from None


class Program:
    """One started program, with its output in a log file."""

    def __init__(
        self, name: str, command: list[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.before = 0
        """Where the log of an earlier start ends."""

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.before = output.tell()
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # We pass Ctrl-C on ourselves, in the order in which things must end.
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def output(self) -> str:
        """What it has printed since its last start."""
        return self.log.read_bytes()[self.before :].decode(errors="replace")

    def said(self, line: str) -> bool:
        return line in self.output()

    def wait_for(self, ready: Callable[[], Any], seconds: float = 60.0) -> None:
        """Block until `ready`; if the program ends instead, the error quotes it."""

        def ready_or_gone() -> bool:
            return bool(ready()) or not self.running

        until(ready_or_gone, seconds, f"{self.name}'s first answer (its log: {self.log})")
        if not self.running:
            lines = self.output().strip().splitlines()
            raise CannotRunError(
                f"{self.name} ended at once: {lines[-1][:300] if lines else 'it said nothing'} ({self.log})"
            )

    def stop(self, seconds: float = 15.0) -> None:
        """Ask it to end; kill it if it does not."""
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Kill it, like a crash."""
        if self.process is not None:
            if self.running:
                self.process.kill()
            self.process.wait()
            self.process = None
