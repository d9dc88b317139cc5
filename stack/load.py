"""A bounded load: requests the paths of each service in turn, at a steady rate, and prints what came back.

python -m stack.load http://127.0.0.1:8911 http://127.0.0.1:8912 --rate 20 --seconds 60

It uses plain http.client, which poolscope does not observe here: the load must not appear in the data.
"""

import argparse
import itertools
import json
import queue
import statistics
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from stack.ready import missing

WORKERS = 8
MOST_SECONDS = 3600.0
MOST_RATE = 500.0


@dataclass
class Outcome:
    """The answers of one service; latencies in seconds as measured by the load generator."""

    answered: int = 0
    failed: int = 0
    latencies: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, float]:
        centiles = statistics.quantiles(self.latencies, n=100) if len(self.latencies) > 1 else [0.0] * 99
        return {"answered": self.answered, "failed": self.failed, "p50": centiles[49], "p99": centiles[98]}


def ways_of(service: str) -> list[str]:
    """The paths that a service says it offers."""
    connection = HTTPConnection(urlsplit(service).netloc, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().split()
    finally:
        connection.close()


class Load:
    """Sends `rate` requests a second to each service, `WORKERS` at a time, until stopped or out of time."""

    def __init__(self, services: Iterable[str], rate: float, seconds: float) -> None:
        self.services = list(services)
        self.rate = min(rate, MOST_RATE)
        self.seconds = min(seconds, MOST_SECONDS)
        self.stopped = threading.Event()
        self.outcomes = {service: Outcome() for service in self.services}

    def _work(self, service: str, jobs: "queue.Queue[str | None]") -> None:
        outcome = self.outcomes[service]
        connection = HTTPConnection(urlsplit(service).netloc, timeout=30)
        while (way := jobs.get()) is not None:
            began = time.perf_counter()
            try:
                connection.request("GET", f"/{way}")
                answer = connection.getresponse()
                answer.read()
            except (HTTPException, OSError):
                connection.close()
                outcome.failed += 1
                continue
            outcome.latencies.append(time.perf_counter() - began)
            if answer.status == 200:
                outcome.answered += 1
            else:
                outcome.failed += 1
        connection.close()

    def _drive(self, service: str, ways: list[str]) -> None:
        jobs: queue.Queue[str | None] = queue.Queue(maxsize=WORKERS)
        workers = [threading.Thread(target=self._work, args=(service, jobs)) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        began = time.monotonic()
        for number, way in enumerate(itertools.cycle(ways)):
            due = began + number / self.rate
            if due > began + self.seconds or self.stopped.wait(max(0.0, due - time.monotonic())):
                break
            jobs.put(way)
        for _ in workers:
            jobs.put(None)
        for worker in workers:
            worker.join()

    def run(self) -> dict[str, dict[str, float]]:
        """Block until the load has been sent and answered."""
        # Asked here, so that the caller can handle a service that is not there.
        asked = [(service, ways_of(service)) for service in self.services]
        drivers = [threading.Thread(target=self._drive, args=each) for each in asked]
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join()
        return {service: outcome.as_dict() for service, outcome in self.outcomes.items()}


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `None` is this process's own."""
    parser = argparse.ArgumentParser(prog="python -m stack.load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("services", nargs="+", metavar="URL")
    parser.add_argument(
        "--rate", type=float, default=20.0, help=f"requests a second to each, at most {MOST_RATE:.0f}"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help=f"at most {MOST_SECONDS:.0f}")
    parser.add_argument("--wait", type=float, default=30.0, help="seconds to wait for the services (30)")
    return parser.parse_args(arguments)


def main() -> int:
    options = options_of()
    if absent := missing([f"{service}/" for service in options.services], options.wait):
        print(
            f"no answer within {options.wait:g} s from {' or '.join(absent)}: start it first", file=sys.stderr
        )
        return 1
    load = Load(options.services, options.rate, options.seconds)
    try:
        outcomes = load.run()
    except (OSError, HTTPException) as error:
        print(f"no answer from {' or '.join(options.services)}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(outcomes))
    return 0 if all(outcome["answered"] for outcome in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
