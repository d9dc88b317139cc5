"""A library that poolscope does not know is added as CONTRIBUTING.md says: one file, one line. Then its facts are true.

Two libraries beside this file are added so. `tinyhttp` is the example that CONTRIBUTING.md explains. `shuttle` was written
without knowing poolscope, and added with that page alone: its clients are their own pools and make requests wait, a
connection is set up by being made, and a dead one is replaced without a word.
"""

from __future__ import annotations

import importlib
import shutil
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from poolscope.libraries import callsite, known
from poolscope.libraries.fit import examined
from poolscope.story.hook import HOOKS
from poolscope.testing import capture
from tests.servers import Certificates, Running, Scripted, ServerConfig, in_process, in_thread, scripted
from tests.truth import probes
from tests.truth import test_close_reasons as reasons
from tests.truth import test_failed_setups as setups
from tests.truth.judge import have_arrived, judge
from tests.truth.probes import PATIENCE, Options, Probe
from tests.truth.watching import Capture, ends, giving_up, until, watch
from tests.truth.workload import Job, jobs

HERE = Path(__file__).resolve().parent
LOAD = 400
NO_HTTP = b"this is no HTTP at all\r\n\r\n"
NO_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n"


class Tiny(Probe):
    def build(self, options: Options) -> None:
        self.client = sys.modules["tinyhttp"].Client(keep=options.max_idle)

    def getting(
        self,
        url: str,
        timeout: float = PATIENCE,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Callable[[], Any]:
        assert body is None
        return lambda: self.client.get(url, headers, timeout).read()

    def open(self, url: str, headers: dict[str, str] | None = None) -> Any:
        return self.client.get(url, headers)

    def reading(self, response: Any) -> Callable[[], Any]:
        return lambda: response.read()

    def leave(self, response: Any) -> None:
        response.close()

    def close(self) -> None:
        self.client.close()
        self.client = None


class Shuttle(Probe):
    def build(self, options: Options) -> None:
        expiry = PATIENCE if options.keepalive_expiry is None else options.keepalive_expiry
        self.client = sys.modules["shuttle"].Depot(
            options.max_connections, options.max_idle, expiry, options.trust
        )

    def getting(
        self,
        url: str,
        timeout: float = PATIENCE,
        headers: dict[str, str] | None = None,
        body: Iterable[bytes] | None = None,
    ) -> Callable[[], Any]:
        load = None if body is None else b"".join(body)
        return lambda: self.client.fetch(url, labels=headers or {}, load=load, patience=timeout).unpack()

    def open(self, url: str, headers: dict[str, str] | None = None) -> Any:
        return self.client.fetch(url, labels=headers or {})

    def reading(self, response: Any) -> Callable[[], Any]:
        return lambda: response.unpack()

    def leave(self, response: Any) -> None:
        response.refuse()

    def close(self) -> None:
        self.client.shut()
        self.client = None


LIBRARIES: dict[str, type[Probe]] = {"tinyhttp": Tiny, "shuttle": Shuttle}
KINDS = {"tinyhttp": "tinyhttp.Client", "shuttle": "shuttle.Depot"}
on_both = pytest.mark.parametrize("added", LIBRARIES, indirect=True)
on_shuttle = pytest.mark.parametrize("added", ["shuttle"], indirect=True)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture
def added(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The library is installed, and its line is in the table."""
    name: str = request.param
    installed = tmp_path / "site-packages"
    shutil.copytree(HERE / name, installed / name)
    monkeypatch.syspath_prepend(str(installed))
    home = f"tests.libraries.{name}_points"
    monkeypatch.setitem(known.LIBRARIES, name, known.Library(home, ("1.0", "1")))
    monkeypatch.setitem(probes.PROBES, name, LIBRARIES[name])
    monkeypatch.setattr("tests.truth.test_close_reasons.TRY_AGAIN", {*probes.TRY_AGAIN, "shuttle"})
    for hook in HOOKS.values():
        hook.reset()
    importlib.import_module(name)
    yield name
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        sys.modules.pop(module)
    callsite._kinds.clear()
    assert not [hook for hook in HOOKS.values() if hook.failures]


@on_both
def test_a_client_and_its_lines(added: str, server: Running) -> None:
    with watch(added) as (probe, captured):
        probe.run(probe.getting(server.url("/redirect/fixed")))
    (made,), (connection,) = captured.clients, captured.connections
    assert (made.kind, made.requests, made.close_kind) == (KINDS[added], 2, "close")
    assert made.call_site is not None and made.call_site.file == __file__
    first, second = captured.exchanges
    assert first.call_site is not None and first.call_site.file == __file__
    assert (first.relation, second.relation, second.previous) == (None, "redirect", first.id)
    assert (second.reused, second.request_number, second.client) == (True, 2, made.id)
    assert (connection.client, connection.requests, connection.peer_port) == (made.id, 2, server.port)
    assert "connect" in connection.setup


@on_both
def test_a_client_for_each_request_is_found(added: str, server: Running) -> None:
    with capture() as captured:
        for number in range(12):
            with LIBRARIES[added]() as probe:
                probe.build(Options())
                probe.get(server.url(f"/fixed/{number}"))
    (finding,) = [found for found in captured.findings if found.code == "PS101"]
    assert f"{KINDS[added]} was built 12 times" in finding.sentence
    assert f"Create one {KINDS[added]}" in finding.fix


@on_both
@pytest.mark.parametrize(
    "probe",
    [
        reasons.test_client_close,
        reasons.test_server_closed_idle,
        reasons.test_http_1_0,
        reasons.test_response_not_read,
        reasons.test_server_closed_mid_body,
        reasons.test_server_closed_mid_chunk,
        reasons.test_reset_before_headers,
        reasons.test_reset_in_the_body,
    ],
)
def test_its_close_reasons(added: str, probe: Callable[[str], None]) -> None:
    probe(added)


@on_both
@pytest.mark.parametrize("path", ["/silence/1", "/stall/1"])
def test_a_timeout(added: str, path: str) -> None:
    reasons.test_timeout(added, path)


@on_both
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("probe", [reasons.test_gc, reasons.test_gc_active])
def test_what_nobody_closes(added: str, probe: Callable[[str], None]) -> None:
    probe(added)


@pytest.mark.parametrize(
    ("added", "answer"),
    [
        ("tinyhttp", NO_HTTP),
        ("shuttle", NO_HTTP),
        ("shuttle", NO_CHUNK),  # http.client, which tinyhttp uses, calls this an end
    ],
    ids=["tinyhttp", "shuttle", "shuttle-chunk"],
    indirect=["added"],
)
def test_what_is_not_http(added: str, answer: bytes) -> None:
    reasons.test_protocol_error(added, answer)


@on_both
@pytest.mark.parametrize("reused", [False, True])
def test_a_server_that_leaves(added: str, reused: bool) -> None:
    reasons.test_server_closed_no_response(added, reused)


@on_shuttle
def test_each_attempt_has_its_own_end(added: str) -> None:
    """Both run in one method, which sees the second one's exception only."""

    def script(server: Scripted) -> None:
        with server.accept() as peer:
            peer.read_head()
            peer.answer()
            peer.read_head()
            peer.reset()
        with server.accept() as peer:
            peer.read_head()
            peer.send(NO_HTTP)

    with scripted(script) as server, watch(added) as (probe, captured):
        assert probe.get(server.url()) is None
        assert probe.get(server.url()) == "Broken"
    assert ends(captured) == [("reset", "network"), ("protocol_error", "server")]
    assert [exchange.error_type for exchange in captured.exchanges] == [None, "reset", "protocol_error"]


@on_both
def test_an_answer_that_stops_is_not_complete(added: str, server: Running) -> None:
    def attempt(patience: float) -> Capture:
        with watch(added) as (probe, captured):
            assert probe.get(server.url("/stall/1"), timeout=patience) is not None
        return captured

    captured, _ = giving_up(0.2, attempt, lambda captured: captured.exchanges[0].headers_at)
    (exchange,) = captured.exchanges
    assert (exchange.status, exchange.body_complete, exchange.error_type) == (200, False, "read_timeout")


@on_shuttle
@pytest.mark.parametrize("probe", [reasons.test_keepalive_expired, reasons.test_pool_full])
def test_how_it_closes_idle_connections(added: str, probe: Callable[[str], None]) -> None:
    probe(added)


@on_shuttle
@pytest.mark.parametrize("by", ["server", "client"])
def test_a_connection_that_is_not_to_be_kept(added: str, by: str) -> None:
    reasons.test_connection_close_header(added, by)


@on_both
def test_a_connect_that_is_refused(added: str) -> None:
    with watch(added) as (probe, captured):
        assert probe.get("http://127.0.0.1:1/") is not None
    connection, exchange = setups._failed(captured)
    assert (connection.failed_phase, connection.error_type) == ("connect", "connection_refused")
    assert exchange.error_type == "connection_refused"


@on_shuttle
def test_a_handshake_that_fails(added: str, certificates: Certificates) -> None:
    """In the phase after the function that connects."""
    config = ServerConfig(certificate=certificates.server)
    with in_thread(config) as server, watch(added, trust=ssl.create_default_context()) as (probe, captured):
        assert probe.get(server.url("/fixed/1")) == "Broken"
    connection, _ = setups._failed(captured)
    assert (connection.failed_phase, connection.error_type) == ("tls", "tls_certificate")
    assert [*connection.setup] == ["connect", "tls", "total"]


@on_shuttle
def test_a_request_waits_for_its_turn(added: str, server: Running) -> None:
    with watch(added, max_connections=1) as (probe, captured):
        kept = probe.open(server.url("/size/10/1"))
        waiting = probe.begin(probe.getting(server.url("/fixed/2")))
        until(lambda: captured.ledger.snapshot().waiters)
        probe.read(kept)
        waiting.result(PATIENCE)
        with pytest.raises(sys.modules["shuttle"].Late), probe.client.fetch(server.url("/size/10/3")):
            probe.client.fetch(server.url("/fixed/4"), patience=0.01)
    first, second, third, fourth = sorted(captured.exchanges, key=lambda exchange: exchange.id)
    assert (first.pool_wait, third.pool_wait) == (0.0, 0.0)
    assert second.pool_wait is not None and second.pool_wait > 0.0 and second.reused
    assert (fourth.error_type, fourth.connection) == ("pool_timeout", None)


def _perform(probe: Probe, server: Running, job: Job) -> None:
    if job.action != "leave":
        probe.get(server.origin + job.path, timeout=job.patience or PATIENCE)
        return
    try:
        probe.leave(probe.open(server.origin + job.path))
    except Exception as error:
        assert type(error).__module__.partition(".")[0] in LIBRARIES


@on_both
def test_no_fact_is_wrong_under_load(added: str) -> None:
    """The same judge of the same jobs as for every other library."""
    with in_process() as server, watch(added, max_connections=16, max_idle=8) as (probe, captured):
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(lambda job: _perform(probe, server, job), jobs(LOAD, False, 1)))
        probe.close()
        log = server.settled(have_arrived(captured.connections))
    verdict = judge(captured.connections, captured.exchanges, log)
    assert not verdict.wrong, str(verdict)
    assert verdict.exchanges >= 0.9 * LOAD, str(verdict)
    assert len(verdict.reasons) >= 8, str(verdict)


@pytest.mark.parametrize(
    ("added", "hooks", "gone"),
    [("tinyhttp", 10, "Pool.give_back"), ("shuttle", 14, "Depot.home")],
    indirect=["added"],
)
def test_doctor_knows_it(added: str, hooks: int, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(added)
    assert (found.status, found.hooks) == ("fits", hooks)
    monkeypatch.delattr(f"{added}.{gone}")
    assert examined(added).status == "incomplete"
