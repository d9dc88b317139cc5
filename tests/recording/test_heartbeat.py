"""A fork waits until poolscope's thread is gone, however long the system takes to end a thread."""

from __future__ import annotations

import os
import threading

import pytest

from poolscope.recording import heartbeat


def test_a_thread_that_takes_long_to_end_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a thread that is over may get its last moment of CPU much later."""
    monkeypatch.setattr(heartbeat, "GONE_TIMEOUT", 60.0, raising=False)
    ends = threading.Event()
    ending = threading.Thread(target=ends.wait)
    ending.start()
    threading.Timer(0.2, ends.set).start()
    heartbeat._wait_until_gone(ending.native_id or 0)
    assert not os.path.exists(f"/proc/self/task/{ending.native_id}")
    ending.join()
