"""Findings about waiting requests, as events and counts, while they wait and after they gave up."""

from __future__ import annotations

import threading

import httpx
import pytest
import urllib3

from poolscope.ledger import LONG_WAIT


def test_a_pool_timeout_is_reported_at_the_next_collection(telemetry, server) -> None:
    limits = httpx.Limits(max_connections=1)
    with telemetry.instrumented(), httpx.Client(limits=limits, timeout=httpx.Timeout(5, pool=0.05)) as client:
        with client.stream("GET", server.url("/held")) as response:
            with pytest.raises(httpx.PoolTimeout):
                client.get(server.url("/wanted"))
            assert telemetry.total("poolscope.findings", poolscope__finding__code="PS105") == 1
            response.read()
    (event,) = telemetry.events("poolscope.finding")
    assert "GET http://127.0.0.1" in event.body
    assert "/held" in event.body


def test_an_endless_wait_is_reported_while_it_lasts(telemetry, server, monkeypatch) -> None:
    monkeypatch.setattr("poolscope.signals.LONG_WAIT", 0.05)
    monkeypatch.setattr("poolscope.ledger.LONG_WAIT", 0.05)
    assert LONG_WAIT > 0.05
    with telemetry.instrumented(), urllib3.PoolManager(block=True, maxsize=1) as manager:
        with manager.request("GET", server.url("/kept"), preload_content=False) as kept:
            pass
        waiting = threading.Thread(target=manager.request, args=("GET", server.url("/wanted")))
        waiting.start()
        while not telemetry.total("poolscope.findings", poolscope__finding__code="PS105"):
            waiting.join(0.02)
            assert waiting.is_alive()
        kept.release_conn()
        waiting.join()
    assert "never given back" in telemetry.events("poolscope.finding")[0].body
