"""`python -m tests.upstream httpx httpcore …`: each suite bare three times, then watched, then compared.

Runs in its own network namespace: nothing leaves the machine, and the addresses that some tests
use as a tarpit really lead nowhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.upstream.compare import ABSENT, UNSTABLE_ALLOWED, Verdict, judge
from tests.upstream.prepare import environment, sources
from tests.upstream.suites import SUITES, Suite

HOUSE = Path(__file__).resolve().parents[2]
PLUGIN = Path(__file__).resolve().parent / "plugin"
TIME_LIMIT = 1200.0
BARE_RUNS = 3
AT_ONCE = 2
"""Runs side by side, each in its own network: the slow suites mostly wait."""
RECHECKS = 5
"""How often a changed test is repeated on its own, bare and watched."""

ALONE = ("unshare", "--map-root-user", "--net")
NETWORK = """
ip link set lo up
ip link add tarpit type veth peer name void && ip link set void up
ip addr add 10.0.0.1/8 dev tarpit && ip link set tarpit arp off up && ip route add 240.0.0.0/4 dev tarpit
exec "$@"
"""
# These choose certificates, proxies and plugins, so the runs would differ from machine to machine.
NOT_INHERITED = ("SSL_", "REQUESTS_", "CURL_", "HTTP", "NO_PROXY", "ALL_PROXY", "PYTEST", "PYTHON", "COLUMNS")


@dataclass
class Run:
    """The results of one run of a suite."""

    outcomes: dict[str, str]
    seen: dict[str, int]
    hook_failures: dict[str, int]
    seconds: float


def run(suite: Suite, *, watched: bool, only: tuple[str, ...] = ()) -> Run:
    """Run the suite, or ``only`` some of its tests; RuntimeError if it could not run at all."""
    python, folder = environment(suite), sources(suite)
    inherited = {key: value for key, value in os.environ.items() if not key.upper().startswith(NOT_INHERITED)}
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "outcomes.json"
        variables = {
            **inherited,
            "PYTHONPATH": os.pathsep.join([str(PLUGIN), str(HOUSE / "src")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "POOLSCOPE_OUTCOMES_FILE": str(target),
            "POOLSCOPE_OUTCOMES_WATCHED": "1" if watched else "0",
        }
        pytest = [
            str(python),
            *suite.interpreter,
            "-m",
            "pytest",
            "-p",
            "poolscope_outcomes",
            "-p",
            "no:cacheprovider",
            "-q",
            "--color=no",
        ]
        command = [*ALONE, "sh", "-c", NETWORK, "sh", *pytest, *suite.arguments, *only]
        began = time.monotonic()
        process = subprocess.run(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT,
            check=False,
        )
        seconds = time.monotonic() - began
        if not target.exists():
            raise RuntimeError(f"{suite.name}: the suite did not run\n{process.stdout[-4000:]}")
        left: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return Run(left["outcomes"], left["seen"], left["hook_failures"], seconds)


def start(suite: Suite, pool: Executor) -> list[Future[Run]]:
    """Start every run of the suite when ``pool`` has room for it: the watched run last."""
    sources(suite)
    environment(suite)
    return [pool.submit(run, suite, watched=number == BARE_RUNS) for number in range(BARE_RUNS + 1)]


def compare(suite: Suite, runs: list[Future[Run]]) -> bool:
    """Print the results; False if poolscope changed anything or too little could be compared."""
    title = f"{suite.name} {suite.version}"
    *bare, watched = (future.result() for future in runs)
    for number, one in enumerate(bare, 1):
        print(f"{title}: bare {number}/{BARE_RUNS}: {counted(one)}")
    print(f"{title}: watched:  {counted(watched)}; saw {watched.seen}", flush=True)
    verdict = judge([one.outcomes for one in bare], watched.outcomes)
    recheck(suite, verdict)
    return report(title, suite, verdict, watched)


def recheck(suite: Suite, verdict: Verdict) -> None:
    """Run each changed test again, bare and watched.

    A test that changes bare as well was unstable but not noticed as such; so was a test that does not change again.
    """
    for test, (before, after) in list(verdict.changed.items()):
        if ABSENT in (before, after):
            continue
        bare, watched = (
            [run(suite, watched=way, only=(test,)).outcomes.get(test, ABSENT) for _ in range(RECHECKS)]
            for way in (False, True)
        )
        if set(bare) != {before} or set(watched) == {before}:
            verdict.acquit(test, (*bare, *watched))


def report(title: str, suite: Suite, verdict: Verdict, watched: Run) -> bool:
    for test, outcomes in verdict.unstable.items():
        print(f"{title}: unstable: {test}: {', '.join(outcomes)}")
    for test, (before, after) in verdict.changed.items():
        print(f"{title}: CHANGED:  {test}: {before} bare, {after} watched")
    for hook, failures in watched.hook_failures.items():
        print(f"{title}: HOOK FAILED: {hook}, {failures} times")
    failing = sum(outcome.startswith(("failed", "error")) for outcome in verdict.stable.values())
    blind = not watched.seen.get("Exchange")
    if blind:
        print(f"{title}: poolscope saw no exchange: nothing was compared")
    print(
        f"{title}: {len(verdict.stable)} stable of {verdict.tests}, {failing} of them failing bare; "
        f"{len(verdict.unstable)} unstable ({verdict.unstable_share:.2%}, at most {UNSTABLE_ALLOWED:.1%}); "
        f"{len(verdict.changed)} changed"
    )
    if failing and suite.note:
        print(f"{title}: {suite.note}")
    return verdict.good and not watched.hook_failures and not blind


def counted(one: Run) -> str:
    totals: dict[str, int] = {}
    for outcome in one.outcomes.values():
        totals[outcome] = totals.get(outcome, 0) + 1
    return (
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(totals.items()))
        + f" in {one.seconds:.0f} s"
    )


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        print(f"no suite called {', '.join(unknown)}; there are {', '.join(SUITES)}", file=sys.stderr)
        return 2
    possible = subprocess.run(
        [*ALONE, "sh", "-c", NETWORK, "sh", "true"], capture_output=True, text=True, check=False
    )
    if possible.returncode:
        print(
            "the suites run in a network namespace of their own, which this machine refuses "
            f"(unshare --map-root-user --net, iproute2): {possible.stderr.strip()}",
            file=sys.stderr,
        )
        return 2
    suites = [SUITES[name] for name in names or SUITES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [start(suite, pool) for suite in suites]
        good = [compare(*each) for each in zip(suites, runs, strict=True)]
    print(f"upstream: {sum(good)} passed, {len(good) - sum(good)} failed")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
