"""Small programs: the report is true, tells each thing once, and shows the same sums in every format."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import dedent
from typing import Protocol

import pytest

from poolscope.cli import diff
from poolscope.records import Record
from poolscope.reports import json_report, overview, text
from poolscope.reports.html.facts import facts, verdict
from poolscope.reports.html.sample import Sample
from poolscope.reports.rows import Sums
from poolscope.reports.words import count, seconds
from tests.cli.conftest import Program
from tests.servers import Certificates, Running, ServerConfig, in_thread

pytestmark = pytest.mark.processes

HOSTS = 200
WIDTHS = (80, 120)


class Said:
    """A recording in three formats."""

    def __init__(self, stream: list[Record]) -> None:
        self.overview = overview.of(stream)
        self.texts = {width: text.render(self.overview, width) for width in WIDTHS}
        self.json = json.loads(json_report.render(self.overview))
        sample = Sample()
        for record in stream:
            sample.add(record)
        sample.finish()
        self.html = facts(self.overview, sample, source=False)

    @property
    def verdict(self) -> str:
        return verdict(self.overview)


class Run(Protocol):
    """Runs a program under poolscope."""

    def __call__(self, code: str, status: int = 0) -> Said: ...


@contextmanager
def two_hundred() -> Iterator[str]:
    """The ports of so many servers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def start() -> list[asyncio.Server]:
        return [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(HOSTS)]

    loop = asyncio.new_event_loop()
    servers = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield ",".join(str(server.sockets[0].getsockname()[1]) for server in servers)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    for server in servers:
        server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.fixture(scope="module")
def places(certificates: Certificates, server: Running) -> Iterator[dict[str, str]]:
    http2 = ServerConfig("http2", certificate=certificates.server)
    with in_thread(http2) as h2, in_thread(ServerConfig("proxy")) as proxy, two_hundred() as ports:
        yield {
            "URL": server.origin,
            "H2": h2.origin,
            "PROXY": proxy.origin,
            "PORTS": ports,
            "CA": certificates.authority,
        }


@pytest.fixture
def say(program: Program, places: dict[str, str]) -> Run:
    def run(code: str, status: int = 0) -> Said:
        program.path.write_text(
            "import asyncio, os\nURL, PROXY, H2, CA, PORTS = map(os.environ.get, ('URL', 'PROXY', 'H2', 'CA', 'PORTS'))\n"
            + dedent(code),
            encoding="utf-8",
        )
        done = program.run("--quiet", env=places)
        assert done.returncode == status, done.stderr
        return Said(program.records())

    return run


def agrees(said: Said) -> None:
    """Every format has the same sums, and no line is wider than the page."""
    sums = Sums.over(said.overview.rows(), said.overview.all_connections())
    totals, page = said.json["totals"], said.html["totals"]
    cost = totals["construction_time"] + totals["setup_time"] + totals["closing_time"]
    assert cost == pytest.approx(page["construction"] + page["setup"] + page["closing"])
    assert totals["requests"] == page["requests"] == sums.requests
    assert totals["clients"] == page["clients"] == said.overview.clients
    opened = totals["connections"]
    assert opened["opened"] + opened["open_before"] == page["connections"] == sums.connections
    assert opened["inherited"] == page["inherited"] == sums.inherited
    assert totals["connections_still_open"] == page["still_open"] == said.overview.still_open
    after = json.loads(diff.as_json(*[diff.Recording(said.overview)] * 2))["after"]["total"]
    assert (after["connections"], after["inherited"]) == (sums.connections, sums.inherited)
    listed = [(finding["code"], finding["cost"]) for finding in said.json["findings"]]
    assert listed == [(finding["code"], finding["cost"]) for finding in said.html["findings"]]
    for width, shown in said.texts.items():
        assert max(map(len, shown.splitlines())) <= width
        flat = " ".join(shown.split())
        assert said.verdict in flat
        assert f"total {count(sums.requests, 'request')} · {count(sums.connections, 'connection')}" in flat
        for code, lost in listed:
            assert f"{code} " in flat
            assert lost is None or f"cost {seconds(lost)} of" in flat
        if not any(finding["severity"] == "warning" for finding in said.json["findings"]):
            assert seconds(cost) in said.verdict


def test_one_request(say: Run) -> None:
    seen = say("import requests; requests.get(URL + '/fixed/')")
    agrees(seen)
    assert seen.verdict.startswith("1 request, on a new connection; ")
    assert seen.verdict.endswith("; no finding.")
    assert "%" not in seen.verdict


def test_forked_children_on_the_connection_of_their_parent(say: Run, accepted: Callable[[], int]) -> None:
    seen = say(
        """
        import requests
        session = requests.Session()
        session.get(URL + '/fixed/')
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                session.get(URL + '/fixed/'); os._exit(0)
            os.waitpid(pid, 0)
        """
    )
    agrees(seen)
    assert accepted() == 1
    assert sum(end.connections for end in seen.overview.summaries.values()) == 1
    assert sum(end.clients for end in seen.overview.summaries.values()) == 1
    is_counted_once(seen)
    for shown in seen.texts.values():
        assert "client not seen" not in shown
        assert "closed none · 1 still open · 3 × inherited" in " ".join(shown.split())
        assert "total 4 requests · 1 connection · 3 × inherited · " in " ".join(shown.split())


def is_counted_once(said: Said) -> None:
    """The client of several processes is one, in each format."""
    assert said.json["totals"]["clients"] == said.overview.clients == 1
    assert said.json["totals"]["clients_unused"] == 0
    (origin,) = said.json["origins"]
    (row,) = origin["clients"]
    assert row["clients"] == 1
    assert row["construction_time"] == said.json["totals"]["construction_time"] > 0
    (group,) = said.html["groups"]
    assert group["sums"]["clients"] == 1
    for shown in said.texts.values():
        assert " · 1 client · " in " ".join(shown.split())


def test_forked_children_alone_use_the_client_of_their_parent(say: Run) -> None:
    seen = say(
        """
        import requests
        session = requests.Session()
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                session.get(URL + '/fixed/'); os._exit(0)
            os.waitpid(pid, 0)
        """
    )
    agrees(seen)
    is_counted_once(seen)
    assert seen.json["totals"]["connections"]["opened"] == 3


def test_no_request(say: Run) -> None:
    seen = say("import httpx\nwith httpx.Client(): pass")
    for shown in seen.texts.values():
        assert "No HTTP connection was opened and no request was sent" in " ".join(shown.split())
        assert re.search(r"1 client was built in [\d.]+ m?s, and never used\.", shown)


def test_only_failures(say: Run) -> None:
    seen = say(
        """
        import requests
        for _ in range(5):
            try: requests.get("http://127.0.0.1:9/", timeout=5)
            except requests.ConnectionError: pass
        """
    )
    agrees(seen)
    assert seen.verdict.startswith("All 5 requests failed before they had a connection; ")
    assert seen.verdict.count("failed") == 1


def test_only_cancellations(say: Run) -> None:
    seen = say(
        """
        import httpx, poolscope
        async def main():
            async with httpx.AsyncClient(verify=False) as client:
                for _ in range(3):
                    task = asyncio.create_task(client.get(URL + "/silence/"))
                    while not any(holder.state == "awaiting_headers" for holder in poolscope.snapshot().holders):
                        await asyncio.sleep(0.005)
                    task.cancel()
                    await asyncio.wait([task])
        asyncio.run(main())
        """
    )
    agrees(seen)
    assert seen.verdict.startswith("0 % of 3 requests reused a connection: 3 connections, one request each; ")
    assert "; 3 requests were cancelled; " in seen.verdict
    assert "failed" not in seen.verdict
    assert "gave up  3 × CancelledError" in seen.texts[80]


def test_two_hundred_hosts(say: Run) -> None:
    seen = say(
        """
        import requests
        with requests.Session() as session:
            for port in PORTS.split(","):
                session.get(f"http://127.0.0.1:{port}/")
        """
    )
    agrees(seen)
    assert seen.verdict.startswith("0 % of 200 requests reused a connection: 200 servers, one request each; ")
    assert seen.verdict.endswith("; no finding.")
    rows = [line.split() for line in seen.texts[120].splitlines() if line.startswith("http://127.0.0.1:")]
    assert {line[1] for line in rows if line[1] != "CLIENTS"} == {"1"}
    (rest,) = [line for line in seen.texts[120].splitlines() if line.startswith("… 160 more origins")]
    assert rest.split()[4:6] == ["–", "160"]


def test_threads(say: Run) -> None:
    seen = say(
        """
        import requests
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier
        all_are_there = Barrier(8)
        def get(number):
            if number < 8:
                all_are_there.wait()
            requests.get(URL + f"/slow/20/{number}")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(get, range(80)))
        """
    )
    agrees(seen)
    assert "(summed over 8 threads; the run took " in seen.verdict
    assert "1 place to change: program.py:" in seen.verdict


def test_a_gather(say: Run) -> None:
    seen = say(
        """
        import httpx
        async def main():
            async with httpx.AsyncClient(verify=False, limits=httpx.Limits(max_connections=2)) as client:
                await asyncio.gather(*(client.get(URL + f"/slow/50/{number}") for number in range(30)))
        asyncio.run(main())
        """
    )
    agrees(seen)
    waited = re.search(
        r"; (\d+) requests waited for a connection, (\S+ m?s) in all and at most (\S+ m?s) each;",
        seen.verdict,
    )
    assert waited is not None
    number, together, longest = waited.groups()
    for shown in seen.texts.values():
        flat = " ".join(shown.split())
        assert f"waiting {number} requests for a connection, at most {longest} each" in flat
        assert f"{together} program.py:" in flat, "the last column"


def test_a_download_in_progress_at_the_end(say: Run) -> None:
    seen = say(
        """
        import requests
        answer = requests.get(URL + "/stall/", stream=True)
        next(answer.iter_content(2))
        raise SystemExit(0)
        """
    )
    agrees(seen)
    assert "; 1 response still open, sent by program.py:5; no finding." in seen.verdict
    assert re.search(
        r"1 request in progress, for \S+ m?s\n +\S+ m?s  its response is open  GET ", seen.texts[120]
    )


def test_http2(say: Run) -> None:
    seen = say(
        """
        import httpx, ssl
        async def main():
            async with httpx.AsyncClient(http2=True, verify=ssl.create_default_context(cafile=CA)) as client:
                await asyncio.gather(*(client.get(H2 + f"/slow/20/{number}") for number in range(20)))
                for number in range(5):
                    await client.get(H2 + f"/fixed/{number}")
        asyncio.run(main())
        """
    )
    agrees(seen)
    assert seen.verdict.startswith(
        "20 % of 25 requests reused a connection, 19 joined a connection during its setup; "
    )


def test_posts_with_retries(say: Run) -> None:
    seen = say(
        """
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=Retry(3, status_forcelist=[503], allowed_methods=None)))
            for number in range(6):
                session.post(URL + f"/flaky/{os.getpid()}/{number}", json={})
        """
    )
    agrees(seen)
    assert seen.verdict.startswith("92 % of 12 requests reused a connection; ")
    assert "; 6 requests got status 503; " in seen.verdict
    assert "answers  6 × 503 · 6 retries\n" in seen.texts[80]
    assert "! a request without a good answer" in " ".join(seen.texts[80].split())


def test_a_proxy(say: Run) -> None:
    seen = say(
        """
        import httpx
        with httpx.Client(proxy=PROXY, verify=False) as client:
            for number in range(6):
                client.get(URL + f"/fixed/{number}")
        """
    )
    agrees(seen)
    assert seen.verdict.startswith("83 % of 6 requests reused a connection; ")
    assert "    way      1 × through a proxy\n" in seen.texts[80]


def test_a_crash(say: Run) -> None:
    seen = say(
        """
        import httpx
        with httpx.Client(verify=False) as client:
            client.get(URL + "/fixed/")
            client.get(URL + "/drop/")
        """,
        status=1,
    )
    agrees(seen)
    assert seen.verdict.startswith("50 % of 2 requests reused a connection; ")
    assert "; 1 request failed; no finding." in seen.verdict
    assert " · exit code 1\n" in seen.texts[120]
    assert "failed   1 × RemoteProtocolError\n" in seen.texts[80]
