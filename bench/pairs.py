"""``make pairs``: compares the saving that PS101 promises with the real one. Needs root, for two network namespaces.

    python -m bench.pairs [--requests 30] [--rounds 3] [--delay 0.025] [--program NAME]

Each program runs sick and fixed in one namespace, its server in another; every packet between them is delayed. First
it is checked that a connect took the intended round trip. A promise is right if it is within 15 %, or says "at least"
and is not above the real saving; nothing is promised for threads or tasks side by side. For https, the programs trust
certifi's bundle and one more certificate, so that loading takes as long as it usually does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import certifi
import trustme

from bench.pair_programs import PAIRS

DELAYS = (0.0, 0.0025, 0.025)
"""Seconds each way: round trips of 0, 5 and 50 ms."""
TRUE_TO = 0.9
"""The least share of the round trip that a connect must have taken."""
SERVER = "10.213.0.2"


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process of ours that has printed that it is up, and ends with the block."""
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    try:
        if not running.stdout.readline():
            raise SystemExit(f"{command} did not start")
        yield running
    finally:
        running.kill()
        running.communicate()


def ip(*words: str) -> None:
    """Run ``ip``."""
    subprocess.run(["ip", *words], check=True)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """A network namespace for the block."""
    ip("netns", "add", name)
    try:
        yield name
    finally:
        ip("netns", "del", name)


class Trust(NamedTuple):
    """The server's certificate, and a bundle that contains it."""

    certificate: str
    bundle: str

    @classmethod
    def made_in(cls, folder: str) -> Trust:
        """Write both, as two files."""
        ca = trustme.CA()
        certificate, bundle = os.path.join(folder, "server.pem"), os.path.join(folder, "bundle.pem")
        ca.issue_cert(SERVER).private_key_and_cert_chain_pem.write_to_path(certificate)
        shutil.copyfile(certifi.where(), bundle)
        ca.cert_pem.write_to_path(bundle, append=True)
        return cls(certificate, bundle)


class Link(NamedTuple):
    """The client's namespace, and the addresses it can reach."""

    client: str
    http: str
    https: str


@contextmanager
def far_apart(delay: float, certificate: str) -> Iterator[Link]:
    """The namespace of a client, and the URLs of servers that every packet takes ``delay`` seconds to reach."""
    number = os.getpid() % 100_000
    with ExitStack() as stack:
        client, server = (stack.enter_context(namespace(f"ps{side}{number}")) for side in ("c", "s"))
        devices = [f"{each}t" for each in (client, server)]
        stack.enter_context(process(sys.executable, "-m", "bench.relay", *devices, str(delay)))
        addresses = ("10.213.0.1", SERVER)
        for space, device, own, peer in zip(
            (client, server), devices, addresses, reversed(addresses), strict=True
        ):
            ip("link", "set", device, "netns", space)
            ip("-n", space, "addr", "add", own, "peer", peer, "dev", device)
            ip("-n", space, "link", "set", device, "up")
            ip("-n", space, "link", "set", "lo", "up")
        inside = ("ip", "netns", "exec", server, sys.executable, "-m", "bench.server", SERVER)
        plain, secure = (
            stack.enter_context(process_with_port(*inside, *more)) for more in ((), (certificate,))
        )
        yield Link(client, f"http://{SERVER}:{plain}/", f"https://{SERVER}:{secure}/")


@contextmanager
def process_with_port(*command: str) -> Iterator[int]:
    """A server of ours, known by the port that it prints first; it ends when its input does."""
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    assert running.stdin is not None
    try:
        yield int(running.stdout.readline())
    finally:
        running.stdin.close()
        running.wait()


def ask(client: str, bundle: str, *words: str) -> dict[str, Any]:
    """The output of one of the programs in the namespace ``client``."""
    command = ["ip", "netns", "exec", client, sys.executable, "-m", "bench.pair_programs", *words]
    trusting = {**os.environ, "SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle}
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=trusting).stdout
    found: dict[str, Any] = json.loads(answer)
    return found


def row(name: str, link: Link, bundle: str, delay: float, requests: int, rounds: int) -> str:
    """One line of the table."""
    real, promised = [], []
    url = link.https if PAIRS[name].https else link.http
    for _ in range(rounds):
        sick, fixed = (
            ask(link.client, bundle, name, variant, url, str(requests))["took"]
            for variant in ("sick", "fixed")
        )
        watched = ask(link.client, bundle, name, "sick", url, str(requests), "watch")
        if watched["connect"] < TRUE_TO * 2 * delay:
            raise SystemExit(
                f"a connect took {watched['connect']:.4f} s where {2 * delay:.4f} s are between them"
            )
        real.append(sick - fixed)
        promised.append(watched["saving"])
    came = statistics.median(real)
    said = None if None in promised else statistics.median(promised)
    words = "none | –" if said is None else f"{said:.2f} s | {said / came - 1:+.0%}"
    return f"| {name} | {2000 * delay:.0f} ms | {came:.2f} s | {words} |"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=30, help="requests of each program (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default: 3)")
    parser.add_argument("--program", choices=PAIRS, action="append", help="default: all of them")
    parser.add_argument(
        "--delay", type=float, action="append", help="seconds each way (default: 0, 0.0025 and 0.025)"
    )
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("make pairs needs root: it makes two network namespaces")
    print("| program | round trip | real saving | promised | off by |\n|---|---:|---:|---:|---:|", flush=True)
    with TemporaryDirectory() as folder:
        trust = Trust.made_in(folder)
        for delay in options.delay or DELAYS:
            with far_apart(delay, trust.certificate) as link:
                for name in options.program or PAIRS:
                    print(row(name, link, trust.bundle, delay, options.requests, options.rounds), flush=True)


if __name__ == "__main__":
    main()
