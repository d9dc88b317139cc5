"""A second run with the real Caddy in front of the downstream: its access log is the truth about connections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stack.load import Load
from stack.ports import Ports
from stack.programs import COMPONENTS, HEALTHY, SICK, Stack
from tests.stack.addresses import own_addresses
from tests.stack.asking import Asking

pytestmark = [pytest.mark.stack, pytest.mark.caddy]

SECONDS = 12.0
RATE = 10.0


class Numbered(Stack):
    """Its services call Caddy by ports from where each connection has an address of its own."""

    def __init__(self, folder: Path, ports: Ports, numbered: list[int]) -> None:
        self.numbered = numbered
        super().__init__(folder, ports, may_build=False, behind_caddy=True)

    @property
    def called(self) -> tuple[int, int]:
        plain, secure = self.numbered
        return plain, secure


class Behind(Asking):
    """Caddy's log, and the counts of the downstream behind it."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack)
        urls = [stack.ports.url("healthy"), stack.ports.url("sick")]
        self.outcomes = Load(urls, RATE, SECONDS).run()
        stack.stop_services()
        # Not in the access log's file: that is for requests that name Caddy's own port.
        said = (stack.folder / "caddy.log").read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in said if line.startswith("{")]
        lines = [entry for entry in entries if str(entry.get("logger")).startswith("http.log.access")]
        self.log = [line["request"] for line in lines]
        self.servers = {line["resp_headers"]["Server"][0] for line in lines}
        self.behind = self.counted()
        answered = [int(outcome["answered"]) for outcome in self.outcomes.values()]
        self.delivered(self.behind["requests"], dict(zip((HEALTHY, SICK), answered, strict=True)))

    def seen(self, service: str) -> dict[str, int]:
        output = [entry for entry in self.log if entry["uri"].startswith(f"/{service}/")]
        connections = {entry["remote_ip"] for entry in output}
        return {
            "connections": len(connections),
            "requests": len(output),
            "reused": len(output) - len(connections),
        }


@pytest.fixture(scope="module")
def ran(component, tmp_path_factory):
    for name in COMPONENTS:
        component(name)
    folder = tmp_path_factory.mktemp("caddy")
    ports = Ports.any()
    with (
        own_addresses(ports.caddy, ports.caddy_tls) as numbered,
        Numbered(folder, ports, numbered) as stack,
    ):
        yield Behind(stack)


def test_the_load_was_answered_through_caddy(ran):
    for outcome in ran.outcomes.values():
        assert outcome["failed"] == 0
        assert outcome["answered"] >= SECONDS * RATE * 0.9
    assert ran.servers == {"Caddy"}


@pytest.mark.parametrize("service", [HEALTHY, SICK])
def test_totals_are_caddys_to_the_unit(ran, service):
    assert ran.totals(service) == ran.seen(service)


def test_caddy_hides_the_sick_one_from_the_downstream(ran):
    """Caddy keeps its own connections: the server behind a proxy sees nothing wrong."""
    assert ran.behind["requests"][SICK] == ran.seen(SICK)["requests"]
    assert ran.behind["connections"][SICK] < ran.seen(SICK)["connections"] / 5
    assert ran.totals(SICK)["connections"] == ran.seen(SICK)["connections"]


def test_tls_ends_at_caddy(ran):
    """The spans of setups describe the connection to Caddy, with its handshake."""
    secure = {entry["uri"] for entry in ran.log if "tls" in entry}
    assert secure == {f"/{HEALTHY}/order", f"/{SICK}/order"}
    handshakes = [
        span for span in ran.spans(SICK) if span["operationName"].startswith("TLS client handshake")
    ]
    once = {entry["remote_ip"] for entry in ran.log if "tls" in entry and SICK in entry["uri"]}
    assert len(handshakes) == len(once)
