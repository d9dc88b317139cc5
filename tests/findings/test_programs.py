"""`tests/findings/programs`: healthy ones are silent, sick ones are named at the line that a reader would expect."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import pytest

from poolscope import records, testing
from poolscope.findings import RULES, find
from poolscope.findings.running import SMALL
from poolscope.records import Finding
from tests.servers import Certificates, Running, ServerConfig, in_thread

pytestmark = [
    pytest.mark.load,
    # Some keep their clients until the process ends, and for some of them that is the sickness.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

PROGRAMS = Path(__file__).parent / "programs"
OF_THEIR_OWN = ("children", "task_queue", "graceful_shutdown", "suite_on_sockets")
"""Healthy programs that fork, get signals or run pytest, so each needs its own process."""
HEALTHY = sorted(path for path in (PROGRAMS / "healthy").glob("*.py") if path.stem not in OF_THEIR_OWN)

EXPECTED = {
    "refusing_keepalive": ["PS106"],
}
"""Healthy programs with a warning that they cannot help: the fault is the server's, and the finding says so."""

SICK: dict[str, str | None] = {
    "cache_that_misses": "PS102",
    "forced_close": "PS127",
    "gather_of_clients": "PS101",
    "in_a_cached_property": "PS101",
    "in_a_comprehension": "PS101",
    "in_a_decorator": "PS101",
    "in_a_dependency": "PS101",
    "in_a_generator": "PS101",
    "in_a_lambda": "PS101",
    "in_a_partial": "PS101",
    "in_a_property": "PS101",
    "in_a_subclass": "PS101",
    "in_an_sdk_of_ours": "PS101",
    "in_exec": "PS101",
    "map_of_gets": "PS101",
    # Two loops cannot share a client, and docs/symptoms.md counts a client per loop as no fault.
    "run_per_item": None,
    "small_pool": "PS104",
    "starved_pool": "PS105",
    "tight_timeout": "PS121",
    "tls_each_time": "PS101",
    "unread_bodies": "PS103",
}
"""Program → its finding; None with the reason why there is none."""

INFORMATION = ("starved_pool", "forced_close")
"""A program may mean to queue, and to have a new connection each time (healthy/health_checker.py)."""

OPEN_AT_EXIT = "cache_that_misses"

ELSEWHERE = {"in_exec": "<rule discount>"}
"""Used where the line is in no file."""


@pytest.fixture(scope="module")
def servers(certificates: Certificates) -> Iterator[dict[str, Running]]:
    """Addresses by the name of their environment variable."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:

        def serve(config: ServerConfig) -> Running:
            return stack.enter_context(in_thread(config))

        running = {
            "URL": serve(ServerConfig()),
            "TLS_URL": serve(ServerConfig(certificate=certificates.server)),
            "IDLE_URL": serve(ServerConfig(idle_close=0.3)),
            "PROXY_URL": serve(ServerConfig("proxy")),
        }
        for name, server in running.items():
            patch.setenv(name, server.origin)
        patch.setenv("HOSTS", " ".join(serve(ServerConfig()).origin for _ in range(4)))
        for name in ("CA", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            patch.setenv(name, certificates.authority)
        yield running


def run(program: Path) -> testing.Capture:
    """Run the program in this process; it may leave by sys.exit(0)."""
    with testing.capture() as captured:
        try:
            runpy.run_path(str(program), run_name="__main__")
        except SystemExit as leaving:
            assert not leaving.code
    return captured


def warnings(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings if finding.severity == "warning"]


def lines_of(program: Path) -> list[int]:
    """The lines that end with ``# here`` or ``# or here``."""
    lines = program.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if re.search("# (or )?here$", line)]


def cost_of(captured: testing.Capture, site: records.CallSite | None) -> float:
    """The cost of the clients of one line, with their connections."""
    clients = {client.id: client for client in captured.clients if client.call_site == site}
    connections = [each for each in captured.connections if each.client in clients]
    return (
        sum(client.construction_time or 0.0 for client in clients.values())
        + sum(each.setup["total"].duration for each in connections)
        + sum(each.close_time or 0.0 for each in connections)
    )


def test_every_program_is_listed() -> None:
    assert {path.stem for path in (PROGRAMS / "sick").glob("*.py")} == set(SICK)
    healthy = {path.stem for path in (PROGRAMS / "healthy").glob("*.py")}
    assert {*OF_THEIR_OWN, *EXPECTED} <= healthy
    assert len(healthy) >= 36


@pytest.mark.parametrize("program", HEALTHY, ids=lambda program: program.stem)
def test_a_healthy_one_is_silent(servers: dict[str, Running], program: Path) -> None:
    captured = run(program)
    assert captured.clients
    assert warnings(captured.findings) == EXPECTED.get(program.stem, [])


def saved(program: Path, tmp_path: Path) -> list[records.Record]:
    """The records that ``poolscope run`` saves of the program."""
    file = tmp_path / "saved.jsonl"
    command = [sys.executable, "-m", "poolscope", "run", "--save", str(file), "--quiet", str(program)]
    done = subprocess.run(
        command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [records.from_json(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.processes
@pytest.mark.parametrize("name", OF_THEIR_OWN)
def test_a_healthy_one_in_its_own_processes_is_silent(
    servers: dict[str, Running], name: str, tmp_path: Path
) -> None:
    stream = saved(PROGRAMS / "healthy" / f"{name}.py", tmp_path)
    assert any(isinstance(record, records.Exchange) for record in stream)
    assert warnings(find(stream)) == []


@pytest.mark.parametrize("name", sorted(set(SICK) - {OPEN_AT_EXIT}))
def test_a_sick_one_is_named_at_its_line(servers: dict[str, Running], name: str) -> None:
    program = PROGRAMS / "sick" / f"{name}.py"
    before = {each: server.log().accepts for each, server in servers.items()}
    began_at = perf_counter()
    captured = run(program)
    took = perf_counter() - began_at
    if SICK[name] is None:
        assert warnings(captured.findings) == []
        return
    (finding,) = (one for one in captured.findings if one.code != "PS126")
    assert_named(finding, program)
    assert finding.cost is not None
    assert finding.saving is None or finding.saving <= finding.cost < took
    if finding.code == "PS101":
        now = {each: server.settled(lambda log: log.open == 0).accepts for each, server in servers.items()}
        assert finding.count == sum(now.values()) - sum(before.values())
        assert finding.cost == pytest.approx(cost_of(captured, finding.call_site))


@pytest.mark.processes
def test_clients_that_are_open_at_the_end_of_the_process(servers: dict[str, Running], tmp_path: Path) -> None:
    program = PROGRAMS / "sick" / f"{OPEN_AT_EXIT}.py"
    (finding,) = find(saved(program, tmp_path))
    assert_named(finding, program)


def assert_named(finding: Finding, program: Path) -> None:
    name, site = program.stem, finding.call_site
    assert finding.code == SICK[name]
    # On a machine that pauses, what it costs may be next to nothing of the time that the program takes.
    by_cost = next(rule.by_cost for rule in RULES if rule.code == finding.code)
    small = by_cost and finding.severity == "info" and finding.cost is not None and finding.cost < SMALL
    assert small or finding.severity == ("info" if name in INFORMATION else "warning")
    if name in ELSEWHERE:
        assert site is not None
        assert site.file == ELSEWHERE[name]
    else:
        assert site is not None
        assert (site.file, site.line in lines_of(program)) == (str(program), True), site
