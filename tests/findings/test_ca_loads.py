"""PS115: it fires where CA certificates are loaded again and again, for clients or for connections."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
import requests
from requests.adapters import HTTPAdapter

from poolscope import testing
from poolscope.findings.ca_loads import MIN_LOAD, MIN_LOADS
from poolscope.records import CallSite
from tests.findings.rule import count, found
from tests.reports.stories import LINE, Story
from tests.servers import Running, ServerConfig, in_thread
from tests.servers.certificates import Certificates


def clients(number: int, each: float = 0.02) -> Story:
    story = Story()
    for tenant in range(number):
        story.client(ca_time=each, settings=tenant)
    return story


def connections(number: int, each: float = 0.02) -> Story:
    story = Story()
    client = story.client("requests.Session", built_in=0.0)
    for _ in range(number):
        connection = story.connect(client, "https://a.test", ca_time=each)
        story.exchange(client, connection)
        story.disconnect(connection)
    return story


def test_below_and_at_the_threshold() -> None:
    for story in (clients, connections):
        assert count("PS115", story(MIN_LOADS - 1)) is None
        assert count("PS115", story(MIN_LOADS)) == MIN_LOADS
        assert count("PS115", story(100, MIN_LOAD * 0.9)) is None


def test_connections_that_are_open_to_the_end_count_once() -> None:
    story = Story()
    client = story.client("requests.Session", built_in=0.0)
    opened = [story.connect(client, f"https://{number}.test", ca_time=0.02) for number in range(MIN_LOADS)]
    story.records += opened
    assert count("PS115", story) == MIN_LOADS


def test_it_says_for_what_and_how_long() -> None:
    (finding,) = found("PS115", clients(30))
    assert (finding.call_site, finding.origin, finding.severity) == (LINE, None, "warning")
    assert finding.cost == pytest.approx(30 * 0.02)
    assert "30 times, for clients of one line (httpx.Client), 20 ms each" in finding.sentence
    assert "verify=context" in finding.fix
    (finding,) = found("PS115", connections(30))
    assert "for connections of one line (requests.Session)" in finding.sentence
    assert "init_poolmanager" in finding.fix


def test_where_the_clients_should_be_shared_there_is_no_second_finding() -> None:
    story = Story()
    for _ in range(MIN_LOADS):
        story.throwaway(ca_time=0.005, call_site=CallSite("a.py", 1, "f"))
    assert count("PS115", story) is None
    (finding,) = found("PS101", story)
    assert any("CA certificates were loaded" in note for note in finding.notes)


def test_a_context_that_is_made_for_each_client_counts_to_its_cost() -> None:
    story = Story()
    for _ in range(10):
        story.throwaway(ca_time=1.0)
    (finding,) = found("PS101", story)
    assert finding.parts["construction"] == pytest.approx(10 * 1.01)


class Shared(HTTPAdapter):
    """Passes one context to all its connections, in the words of the finding."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self.context)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        conn.ca_certs = conn.ca_cert_dir = None


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[Running]:
    with in_thread(ServerConfig(certificate=certificates.server)) as running:
        yield running


@pytest.fixture(scope="module")
def bundle(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "bundle.pem"
    own = Path(certificates.authority).read_text("ascii")
    path.write_text(certifi.contents() + own, encoding="ascii")
    return path


def test_requests_loads_them_for_every_connection(server: Running, bundle: Path) -> None:
    with testing.capture() as captured, requests.Session() as session:
        session.trust_env, session.verify = False, str(bundle)
        for _ in range(MIN_LOADS):
            session.get(server.url("/close"), timeout=5)
    found = {finding.code: finding for finding in captured.findings}
    assert set(found) == {"PS106", "PS115"}
    assert found["PS115"].count == MIN_LOADS
    setups = sum(connection.setup["total"].duration for connection in captured.connections)
    closes = sum(connection.close_time or 0.0 for connection in captured.connections)
    assert found["PS115"].cost is not None and found["PS106"].cost is not None
    assert found["PS115"].cost + found["PS106"].cost <= setups + closes + 1e-6, "no load counts twice"


def test_one_context_for_all(server: Running, bundle: Path) -> None:
    context = ssl.create_default_context(cafile=str(bundle))
    with testing.capture() as captured, requests.Session() as session:
        session.mount("https://", Shared(context))
        session.trust_env, session.verify = False, str(bundle)
        for _ in range(MIN_LOADS):
            session.get(server.url("/close"), timeout=5)
        for number in range(MIN_LOADS):
            with httpx.Client(verify=context, headers={"X-Api-Key": str(number)}) as client:
                client.get(server.url("/"))
    assert [finding for finding in captured.findings if finding.code == "PS115"] == []
