"""What do the findings' rules cost? CPU per request on a kept connection, all rules together.

    python -m bench.rules [--requests 20000]

*signals*: as in a process with `poolscope.instrument()`, where a good answer on an existing connection becomes a
record only if a rule says that it needs it. *records*: as in `poolscope run`, `capture()` and `view`, where the rules
read every record; making the records is not counted.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from time import process_time

from poolscope import facts
from poolscope.findings import Findings, new_findings
from poolscope.ledger import convert
from poolscope.ledger.unusual import unusual
from poolscope.ledger.urls import format_origin

ROUNDS = 9
ORIGIN = ("http", "api.test", None)


def kept(requests: int) -> tuple[Findings, list[facts.Exchange]]:
    """Rules that know a client with one connection, and its further exchanges."""
    client, pool = facts.Client("httpx.Client", 0, 0.0), facts.Pool(0)
    connection = facts.Connection(ORIGIN, 0)
    connection.client, connection.pool = client.id, pool.id
    connection.setup_started_at = connection.opened_at = 0.0
    pool.client = client.id
    findings = new_findings()
    findings.consume(convert.client(client, 1, over=False))
    findings.consume(convert.pool(pool, 1))
    findings.consume(convert.connection(connection, 1, 0, over=False))
    exchanges = []
    for number in range(1, requests + 1):
        exchange = facts.Exchange(ORIGIN, 0, float(number), "GET", "/orders")
        exchange.client, exchange.pool, exchange.connection = client.id, pool.id, connection
        exchange.request_number, exchange.reused, exchange.joined = number, number > 1, False
        exchange.pool_wait = exchange.idle_time = 0.0
        exchange.sent_at, exchange.headers_at, exchange.finished_at = number + 0.1, number + 0.2, number + 0.3
        exchange.status, exchange.body_complete, exchange.in_flight, exchange.thread = 200, True, 1, 1
        exchange.call_site = kept.__code__, 1
        exchanges.append(exchange)
    return findings, exchanges


def signals(requests: int) -> Callable[[], None]:
    """For each exchange, ask whether any rule needs it, as the signals do."""
    findings, exchanges = kept(requests)
    for exchange in exchanges[:30]:
        findings.consume(convert.exchange(exchange, 1, False))

    def run() -> None:
        for exchange in exchanges[30:]:
            if unusual(exchange) or findings.needs(1, exchange.client, format_origin(exchange.origin)):
                findings.consume(convert.exchange(exchange, 1, False))

    return run


def records(requests: int) -> Callable[[], None]:
    """Let every rule read every record."""
    findings, exchanges = kept(requests)
    made = [convert.exchange(exchange, 1, False) for exchange in exchanges]

    def run() -> None:
        for record in made:
            findings.consume(record)

    return run


def microseconds(make: Callable[[int], Callable[[], None]], requests: int) -> float:
    """µs of CPU per request: the median of some rounds."""
    taken = []
    for _ in range(ROUNDS):
        run = make(requests)
        began = process_time()
        run()
        taken.append((process_time() - began) / requests * 1e6)
    return statistics.median(taken)


def table(requests: int) -> str:
    """The result as a Markdown table."""
    lines = [
        "**rules** (all together, a request on a kept connection)",
        "",
        "| where | added µs |",
        "|---|---:|",
    ]
    lines += [f"| {make.__name__} | +{microseconds(make, requests):.1f} |" for make in (signals, records)]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--requests", type=int, default=20_000, help="requests in each round (default: 20000)"
    )
    print(table(parser.parse_args().requests), flush=True)


if __name__ == "__main__":
    main()
