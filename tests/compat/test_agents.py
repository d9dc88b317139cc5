"""New Relic's and Datadog's agents are active at the same time: the program ends alike, and our facts are true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import poolscope
from tests.servers import in_thread

AGENTS = {
    "newrelic": """
        import newrelic.agent
        newrelic.agent.initialize()
        observing = newrelic.agent.BackgroundTask(newrelic.agent.register_application(timeout=0.1), name="job")
    """,
    "ddtrace": """
        import ddtrace.auto
        observing = ddtrace.tracer.trace("job")
    """,
}
PROGRAM = """
import asyncio, json, os, sys, traceback

if watched := sys.argv[1] == "watched":
    import poolscope.testing
    captured = poolscope.testing.capture().__enter__()

import aiohttp, httpx, requests, urllib3

PATHS = [sys.argv[2] + path for path in ("/fixed", "/redirect/fixed", "/cut", "/fixed")] + ["http://127.0.0.1:9/"]
outcomes = []

def raised(error):
    outcomes.append([type(error).__name__, [frame.filename for frame in traceback.extract_tb(error.__traceback__)]])

def each(get):
    for url in PATHS:
        try:
            outcomes.append(get(url))
        except Exception as error:
            raised(error)

async def each_of(get):
    for url in PATHS:
        try:
            outcomes.append(await get(url))
        except Exception as error:
            raised(error)

async def asynchronous():
    async with httpx.AsyncClient() as client:
        async def get(url):
            return (await client.get(url)).status_code  # sends
        await each_of(get)
    async with aiohttp.ClientSession() as session:
        async def get(url):
            async with session.get(url) as answer:  # sends
                return len(await answer.read())
        await each_of(get)

with observing:
    with httpx.Client() as client:
        each(lambda url: client.get(url).status_code)  # sends
    with requests.Session() as session:
        each(lambda url: session.get(url).status_code)  # sends
    with urllib3.PoolManager(retries=False) as manager:
        each(lambda url: manager.request("GET", url).status)  # sends
    asyncio.run(asynchronous())

facts = None
if watched:
    captured.__exit__(None, None, None)
    from poolscope.story.hook import HOOKS
    sites = [exchange.call_site for exchange in captured.exchanges]
    facts = {
        "exchanges": sum(exchange.request_number is not None for exchange in captured.exchanges),
        "connections": len(captured.opened()),
        "reasons": sorted(connection.close_reason for connection in captured.opened()),
        "lines": sorted({(site.file, site.line) for site in sites if site}),
        "without a line": sites.count(None),
        "failed": [name for name, hook in HOOKS.items() if hook.failures],
    }
print("outcomes " + json.dumps([outcomes, facts]), flush=True)
os._exit(0)  # the agents would try for some time to report
"""
ENVIRONMENT = {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "0",
    "DD_REMOTE_CONFIGURATION_ENABLED": "0",
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_TRACE_STARTUP_LOGS": "0",
    "NEW_RELIC_APP_NAME": "job",
    "NEW_RELIC_DEVELOPER_MODE": "true",
    "NEW_RELIC_HOST": "127.0.0.1",
    "NEW_RELIC_LICENSE_KEY": "0" * 40,
    "PYTHONPATH": str(Path(poolscope.__file__).parent.parent),
}
"""Settings with which neither of them contacts a server."""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python with the agents."""
    home = tmp_path_factory.mktemp("agents")
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = str(home / "bin" / "python")
    wanted = [*AGENTS, "httpx", "requests", "urllib3", "aiohttp"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True, timeout=600)
    return python


def run(python: str, script: Path, *arguments: str) -> tuple[list[Any], Any]:
    done = subprocess.run(
        [python, script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | ENVIRONMENT,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("outcomes ")]
    assert len(lines) == 1, done.stderr
    outcomes, facts = json.loads(lines[0].removeprefix("outcomes "))
    return outcomes, facts


@pytest.mark.timeout(700)
@pytest.mark.long("installs two agents into their own environment")
@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_is_active(agent: str, python: str, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text("\n".join(map(str.strip, AGENTS[agent].splitlines())) + PROGRAM, encoding="utf-8")
    with in_thread() as server:
        bare, _ = run(python, script, "bare", server.origin)
        before = server.settled(lambda log: log.open == 0)
        watched, facts = run(python, script, "watched", server.origin)
        after = server.settled(lambda log: log.open == 0)
    assert watched == bare
    assert facts["exchanges"] == len(after.requests) - len(before.requests)
    assert facts["connections"] == after.accepts - before.accepts
    assert set(facts["reasons"]) == {"server_closed_mid_body", "client_close"}
    assert facts["failed"] == []
    sending = {
        number for number, line in enumerate(script.read_text("utf-8").splitlines(), 1) if "# sends" in line
    }
    assert {tuple(line) for line in facts["lines"]} == {(str(script), number) for number in sending}
    assert facts["without a line"] == 0
