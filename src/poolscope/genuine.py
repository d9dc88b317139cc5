"""Python's own clock and threads, even if another package has replaced them.

freezegun replaces `time.perf_counter` in every module, and gevent the contents of `_thread` and `select`. A second
instance of such a module holds the same C functions in other objects, which no other package knows; calls cost the
same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any, Final

__all__ = [
    "allocate_lock",
    "get_ident",
    "get_native_id",
    "perf_counter",
    "poll",
    "sleep",
    "start_new_thread",
    "thread_time",
    "wall",
]


def second(name: str) -> Any:
    """Another instance of a module written in C, outside of `sys.modules`."""
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if TYPE_CHECKING:
    import _thread
    import select
    import time
else:
    _thread, select, time = map(second, ("_thread", "select", "time"))

perf_counter = time.perf_counter
thread_time = time.thread_time
sleep = time.sleep
allocate_lock = _thread.allocate_lock
get_ident = _thread.get_ident
get_native_id = _thread.get_native_id
start_new_thread = _thread.start_new_thread
poll: Any = getattr(select, "poll", None)
"""None on Windows, where nothing is recorded."""


def _clock() -> Callable[[], float]:
    """A clock that goes on while the machine sleeps, if the system has one."""
    if not hasattr(time, "clock_gettime"):
        return time.monotonic
    return partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


_since_boot: Final = _clock()
_wall_at_boot: Final = time.time() - _since_boot()


def wall() -> float:
    """Unix time at our import plus the seconds since then: time-machine changes the wall clock in C, for
    everybody.
    """
    return _wall_at_boot + _since_boot()
