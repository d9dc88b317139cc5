"""Very many records, in the mixture that a service produces: kept and discarded clients, HTTP/2, waits, failures."""

from __future__ import annotations

from collections.abc import Iterator

from poolscope.records import (
    SCHEMA_VERSION,
    CallSite,
    Client,
    Connection,
    Exchange,
    Header,
    Phase,
    Pool,
    Record,
    Summary,
)

SERVERS = 20
ON_ONE = 50
"""Requests on a connection that is kept."""
SPACING = 0.002
"""Seconds between the starts of requests."""


def records(count: int) -> Iterator[Record]:
    """A stream of ``count`` requests: of each hundred, fifty share one connection and fifty have one each."""
    yield Header(1, SCHEMA_VERSION, "0", "3.13.0", 1.7e9, 0.0, {"httpx": "0.28.1"}, "service.py")
    ids = iter(range(1, 10**9))
    made = 0
    while made < count:
        number = made // ON_ONE
        kept = number % 2 == 0
        for _ in range(1 if kept else ON_ONE):
            several = min(ON_ONE if kept else 1, count - made)
            yield from _client(ids, number, made, several)
            made += several
            if made >= count:
                break
    end = count * SPACING + 1
    yield Summary(1, end, end, 0, count, 0, 0)


def _client(ids: Iterator[int], number: int, made: int, several: int) -> Iterator[Record]:
    begin = made * SPACING
    origin = f"https://service-{number % SERVERS}.internal.test"
    site = CallSite(f"/srv/.../app/part{number % SERVERS}.py", 10 + number % 7, "fetch")
    client = Client(1, next(ids), "httpx.Client", begin, 0.0007, site, None, settings=1)
    yield client
    yield Pool(1, next(ids), client.id, 100, 20, 5.0, None)
    connection = _connection(next(ids), client.id, origin, begin + 0.0007)
    yield connection
    at = connection.opened_at or 0.0
    for place in range(several):
        start = max(at, (made + place) * SPACING)
        yield _exchange(next(ids), connection, made + place, place, start, site)
        at = start + 0.0015
    connection.requests = several
    connection.closed_at, connection.close_time = at + 0.0001, 0.0001
    connection.close_reason, connection.closed_by = (
        ("client_close", "client") if number % 3 else ("keepalive_expired", "client")
    )
    yield connection
    client.closed_at, client.close_kind, client.requests = at + 0.0002, "close", several
    yield client


def _connection(number: int, client: int, origin: str, begin: float) -> Connection:
    setup = {
        "dns": Phase(begin, 0.0001),
        "connect": Phase(begin + 0.0001, 0.0002),
        "tls": Phase(begin + 0.0003, 0.0006),
    }
    return Connection(
        1, number, client, None, origin, "direct", "10.0.0.1", 20_000 + number % 40_000, f"10.1.0.{number % 250}", 443,
        begin, begin + 0.0009, {**setup, "total": Phase(begin, 0.0009)}, 1, None, "1.1", "TLSv1.3",
    )  # fmt: skip


def _exchange(
    number: int, connection: Connection, made: int, place: int, start: float, site: CallSite
) -> Exchange:
    failed = made % 1_000 == 999
    return Exchange(
        1, number, connection.id, connection.client, None, connection.origin, "GET",
        f"{connection.origin}/v1/customers/{made * 7919 % 1_000_003}/orders", place + 1, place > 0, False,
        idle_time=0.0005 if place else None, pool_wait=0.002 if made % 500 == 77 else 0.00001,
        started_at=start, sent_at=start + 0.0001, headers_at=start + 0.0012, finished_at=start + 0.0014,
        status=None if failed else 200, error="httpx.ReadError" if failed else None, body_complete=not failed,
        thread=1, call_site=site, in_flight=1,
    )  # fmt: skip
