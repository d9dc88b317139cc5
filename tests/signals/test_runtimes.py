"""Threads, asyncio, trio and gevent: every request's span in its own trace, every number as the server saw it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.servers import Running, in_process

pytestmark = pytest.mark.processes

PROGRAM = """
    import sys
    runtime, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if runtime == "gevent":
        import gevent.monkey
        gevent.monkey.patch_all()
    import json
    from concurrent.futures import ThreadPoolExecutor
    import httpx, requests
    import poolscope
    from tests.signals.telemetry import Telemetry

    telemetry = Telemetry()
    poolscope.instrument(**telemetry.providers)

    def in_threads():
        with requests.Session() as session, ThreadPoolExecutor(8) as pool:
            def work(number):
                with telemetry.tracer.start_as_current_span(f"work {number}"):
                    session.get(f"{url}?n={number}")
            list(pool.map(work, range(count)))

    def in_greenlets():
        from gevent.pool import Pool
        with requests.Session() as session:
            def work(number):
                with telemetry.tracer.start_as_current_span(f"work {number}"):
                    session.get(f"{url}?n={number}")
            Pool(8).map(work, range(count))

    async def fetch(client, limit, number):
        async with limit:
            with telemetry.tracer.start_as_current_span(f"work {number}"):
                await client.get(f"{url}?n={number}")

    async def in_tasks():
        import asyncio
        limit = asyncio.Semaphore(8)
        async with httpx.AsyncClient(trust_env=False) as client:
            await asyncio.gather(*(fetch(client, limit, number) for number in range(count)))

    async def in_nursery():
        import trio
        limit = trio.Semaphore(8)
        async with httpx.AsyncClient(trust_env=False) as client, trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(fetch, client, limit, number)

    if runtime == "threads":
        in_threads()
    elif runtime == "gevent":
        in_greenlets()
    elif runtime == "asyncio":
        import asyncio
        asyncio.run(in_tasks())
    else:
        import trio
        trio.run(in_nursery)

    collected = telemetry.everything()  # once: an exemplar is in one collection only

    def exemplars(name):
        return [
            (f"{each.trace_id:032x}", f"{each.span_id:016x}")
            for metric in collected if metric.name == name
            for point in metric.data.data_points for each in point.exemplars
        ]

    names = ("poolscope.connections.opened", "poolscope.connections.closed", "poolscope.requests",
             "http.client.request.duration", "http.client.connection.duration", "poolscope.facts.dropped",
             "http.client.active_requests", "http.client.open_connections")
    print(json.dumps({
        "totals": {name: telemetry.total(name) for name in names},
        "exemplars": {name: exemplars(name) for name in (
            "http.client.request.duration", "poolscope.connection.setup.duration")},
        "failed": telemetry.points("poolscope.hooks.disabled") != [],
        "spans": [
            (span.name, span.kind.name, f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}",
             span.parent and f"{span.parent.span_id:016x}", dict(span.attributes or {}), len(span.links))
            for span in telemetry.spans
        ],
    }))
    poolscope.uninstrument()
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with in_process() as server:
        yield server


@pytest.mark.parametrize("runtime", ["threads", "asyncio", "trio", "gevent"])
def test_the_signals_say_what_the_server_saw(running: Running, runtime: str) -> None:
    count, before = 120, len(running.log().connections)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), runtime, running.url("/fixed/4"), str(count)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    seen = running.settled(lambda log: not log.open).connections[before:]

    totals = outcome["totals"]
    assert totals["poolscope.connections.opened"] == totals["poolscope.connections.closed"] == len(seen)
    assert totals["http.client.connection.duration"] == len(seen)
    assert totals["poolscope.requests"] == totals["http.client.request.duration"] == count
    assert totals["http.client.active_requests"] == totals["http.client.open_connections"] == 0
    assert totals["poolscope.facts.dropped"] == 0
    assert not outcome["failed"]

    works = {span: (name, trace) for name, _, trace, span, *_ in outcome["spans"] if name.startswith("work")}
    requests = [span for span in outcome["spans"] if span[1] == "CLIENT"]
    assert len(requests) == count
    ours: dict[int, dict[int, str]] = {}
    for _, _, trace, _, parent, about, links in requests:
        number = about["url.full"].rpartition("=")[2]
        assert works[parent] == (f"work {number}", trace)
        ours.setdefault(about["poolscope.connection.id"], {})[
            about["poolscope.connection.request_number"]
        ] = number
        assert links == about["poolscope.connection.reused"]
    theirs = [[request.path.rpartition("=")[2] for request in connection.requests] for connection in seen]
    assert sorted(theirs) == sorted([by[number] for number in sorted(by)] for by in ours.values())

    # Exemplars: the newest of each bucket, in the trace of the measured exchange, not of the draining thread.
    durations = outcome["exemplars"]["http.client.request.duration"]
    assert durations
    assert {tuple(each) for each in durations} <= {(trace, span) for _, _, trace, span, *_ in requests}
    setups = {(trace, span) for name, _, trace, span, *_ in outcome["spans"] if "connection_setup" in name}
    assert len(setups) == len(seen)
    setup_exemplars = outcome["exemplars"]["poolscope.connection.setup.duration"]
    assert setup_exemplars
    assert {tuple(each) for each in setup_exemplars} <= setups
    assert Counter(name.partition(" ")[0] for name, *_ in outcome["spans"])["socket"] == len(seen)
