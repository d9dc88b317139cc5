"""What another thread is importing just now is not there yet, and no request is lost for that."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from poolscope.story.hook import HOOKS
from tests.servers import Running
from tests.truth.probes import ALL
from tests.truth.watching import watch

SYNC = [name for name in ALL if name.endswith("-sync") or name in ("urllib3", "requests")]


@pytest.mark.parametrize("module", ["trio", "asyncio.events", "ssl", "opentelemetry.context"])
@pytest.mark.parametrize("name", SYNC)
def test_a_request_while_another_thread_imports(
    name: str, module: str, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watch(name) as (probe, captured):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        assert probe.get(server.url("/fixed/1")) is None
        assert probe.get(server.url("/drop/2")) is not None
        monkeypatch.undo()
    assert [(exchange.status, exchange.error is None) for exchange in captured.exchanges] == [
        (200, True),
        (None, False),
    ]
    assert [hook for hook in HOOKS.values() if hook.failures] == []
