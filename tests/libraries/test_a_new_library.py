"""A library that poolscope does not know is added as CONTRIBUTING.md says: one file, one line. Then its facts are true.

The library is `tinyhttp` beside this file; the file that adds it is `tinyhttp_points.py`.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from poolscope.cli import doctor
from poolscope.libraries import callsite, known
from poolscope.story.hook import HOOKS
from poolscope.testing import capture
from tests.servers import Running, in_process, in_thread
from tests.truth import probes
from tests.truth import test_close_reasons as reasons
from tests.truth.judge import judge
from tests.truth.probes import PATIENCE, Options, Probe
from tests.truth.workload import Job, jobs

HERE = Path(__file__).resolve().parent
LOAD = 400


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with in_thread() as running:
        yield running


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """tinyhttp is installed, and its line is in the table."""
    installed = tmp_path / "site-packages"
    shutil.copytree(HERE / "tinyhttp", installed / "tinyhttp")
    monkeypatch.syspath_prepend(str(installed))
    home = "tests.libraries.tinyhttp_points"
    monkeypatch.setitem(known.LIBRARIES, "tinyhttp", known.Library(home, ("1.0", "1")))
    monkeypatch.setitem(probes.PROBES, "tinyhttp", Tiny)
    for hook in HOOKS.values():
        hook.reset()
    yield importlib.import_module("tinyhttp")
    sys.modules.pop("tinyhttp")
    callsite._kinds.clear()
    assert not [hook for hook in HOOKS.values() if hook.failures]


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


def test_a_client_and_its_lines(added: Any, server: Running) -> None:
    with capture() as captured:
        client = added.Client()
        client.get(server.url("/redirect/fixed")).read()
        client.close()
    (made,), (connection,) = captured.clients, captured.connections
    assert (made.kind, made.requests, made.close_kind) == ("tinyhttp.Client", 2, "close")
    assert made.call_site is not None and made.call_site.file == __file__
    first, second = captured.exchanges
    assert first.call_site is not None and first.call_site.file == __file__
    assert (first.relation, second.relation, second.previous) == (None, "redirect", first.id)
    assert (second.reused, second.request_number, second.client) == (True, 2, made.id)
    assert (connection.client, connection.requests, connection.peer_port) == (made.id, 2, server.port)
    assert "connect" in connection.setup


def test_a_client_for_each_request_is_found(added: Any, server: Running) -> None:
    with capture() as captured:
        for number in range(12):
            client = added.Client()
            client.get(server.url(f"/fixed/{number}")).read()
            client.close()
    (finding,) = [found for found in captured.findings if found.code == "PS101"]
    assert "tinyhttp.Client was built 12 times" in finding.sentence


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
def test_its_close_reasons(added: Any, probe: Callable[[str], None]) -> None:
    probe("tinyhttp")


@pytest.mark.parametrize("path", ["/silence/1", "/stall/1"])
def test_a_timeout(added: Any, path: str) -> None:
    reasons.test_timeout("tinyhttp", path)


@pytest.mark.parametrize("reused", [False, True])
def test_a_server_that_leaves(added: Any, reused: bool) -> None:
    reasons.test_server_closed_no_response("tinyhttp", reused)


def test_a_connect_that_is_refused(added: Any) -> None:
    with capture() as captured, pytest.raises(added.TinyError):
        added.Client().get("http://127.0.0.1:1/")
    (connection,), (exchange,) = captured.connections, captured.exchanges
    assert (connection.failed_phase, connection.error_type) == ("connect", "connection_refused")
    assert (exchange.connection, exchange.error) == (None, "tinyhttp.TinyError")


def test_no_fact_is_wrong_under_load(added: Any) -> None:
    """The same judge of the same jobs as for every other library."""

    def perform(job: Job) -> None:
        try:
            answer = client.get(server.origin + job.path, timeout=job.patience or PATIENCE)
            if job.action == "leave":
                answer.close()
            else:
                answer.read()
        except added.TinyError:
            pass

    with in_process() as server, capture() as captured:
        client = added.Client(keep=8)
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(perform, jobs(LOAD, False, 1)))
        client.close()
        log = server.settled(lambda log: log.open == 0)
    verdict = judge(captured.connections, captured.exchanges, log)
    assert not verdict.wrong, str(verdict)
    assert verdict.exchanges >= 0.9 * LOAD, str(verdict)
    assert len(verdict.reasons) >= 8, str(verdict)


def test_doctor_knows_it(added: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = doctor.examined("tinyhttp")
    assert (found.status, found.hooks) == ("fits", 10)
    monkeypatch.delattr(added.Pool, "give_back")
    assert doctor.examined("tinyhttp").status == "incomplete"
