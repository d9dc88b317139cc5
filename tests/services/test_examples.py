"""The seed program and its neighbours under ``poolscope run --otlp``, compared with what the server saw."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.receiver import Receiver
from tests.servers import Running

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("example", "protocol"),
    [
        ("seed", "grpc"),
        ("requests_per_call", "http/protobuf"),
        ("requests_session", "grpc"),
        ("httpx_client_per_call", "http/protobuf"),
        ("httpx_shared", "grpc"),
        ("httpx_all_at_once", "http/protobuf"),
    ],
)
def test_a_collector_gets_what_the_server_saw(
    example: str, protocol: str, receiver: Receiver, downstream: Running
) -> None:
    done = subprocess.run(
        [
            sys.executable, "-m", "poolscope", "run", "--quiet", "--otlp", receiver.endpoint(protocol),
            str(ROOT / "examples" / f"{example}.py"), downstream.url("/fixed/4"), "40",
        ],
        env=os.environ | {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    log = downstream.log()
    assert log.accepts > 0
    requests = receiver.ours(3)
    setups = receiver.named("HTTP connection_setup")
    assert len(requests) == len(log.requests) >= 40
    assert len(setups) == log.accepts
    assert receiver.total("poolscope.connections.opened") == log.accepts
    assert receiver.total("poolscope.connections.closed") == log.accepts
    assert receiver.total("poolscope.requests") == len(log.requests)
    assert receiver.total("http.client.request.duration") == len(log.requests)
    assert receiver.total("poolscope.facts.dropped") == 0
    mine = Counter(span.attributes["poolscope.connection.id"] for span in requests)
    assert sorted(mine.values()) == sorted(len(connection.requests) for connection in log.connections)
    by_id = {span.id: span for span in requests}
    for setup in setups:
        opener = by_id[setup.parent].attributes
        assert opener["poolscope.connection.id"] == setup.attributes["poolscope.connection.id"]
        assert opener["poolscope.connection.request_number"] == 1
