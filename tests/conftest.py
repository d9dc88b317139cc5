"""Fixtures and settings for all tests."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest

try:
    from hypothesis import settings
except ImportError:  # no test needs it in the environments of old libraries
    pass
else:
    # Runs over the same code repeat the same examples; `HYPOTHESIS_PROFILE=search` tries others each time.
    settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
    settings.register_profile("search", deadline=None, print_blob=True)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

pytest_plugins = ["tests.not_run", "tests.servers.fixtures"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background jobs ignore Ctrl-C, and so would the programs that we send it to.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def hang_up() -> Iterator[None]:
    """SIGHUP ends a program, as it does by default. Under nohup a test run ignores it, and so does all that it starts."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One and a half times the cores: a third of a run is waiting, for a time-out or another process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + cores // 2


def look_no_more() -> None:
    """Many tests collect garbage. Objects from before them need no visit, which takes up to 0.1 s each time."""
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    look_no_more()


@pytest.fixture(scope="module", autouse=True)
def reports_of_tests_before() -> None:
    """pytest keeps parts of every test, which would make each later collection slower."""
    look_no_more()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Forget the calls that other tests left hanging; no test may leave one itself."""
    try:
        from poolscope.story.call import CURRENT_CALL
        from poolscope.story.exchange import CURRENT
        from poolscope.story.live import LIVE
    except ImportError:  # the code that `make regress` tests is older
        yield
        return
    LIVE.reset()
    yield
    left = CURRENT_CALL.get(), CURRENT.get()
    CURRENT_CALL.set(None)
    CURRENT.set(None)
    assert left == (None, None)


@pytest.fixture(autouse=True)
def unmeasured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs in which coverage itself would be noticed run without it."""
    if request.node.get_closest_marker("unmeasured"):
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
