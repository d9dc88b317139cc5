"""concurrent.futures, multiprocessing's threads, asyncio and anyio: the line of the program that passed a call to a thread.

None of the program's lines is on that thread's stack if the call is a library's own function: ``pool.map(requests.get,
urls)``. So each piece of work remembers the line that made it, and `callsite` asks for it where it finds no other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any, Final
from weakref import WeakValueDictionary

from poolscope.facts import RawCallSite
from poolscope.libraries import callsite
from poolscope.libraries.marks import set_mark
from poolscope.libraries.point import Point


def hands(frames: Callable[[int], FrameType]) -> RawCallSite | None:
    """``to_thread`` is called: only now the caller can be seen."""
    return callsite.user(frames(2))


def work_made(item: Any, frames: Callable[[int], FrameType]) -> None:
    """A piece of work for a thread pool was created, in the thread that submits it."""
    line = callsite.user(_outside(frames(2))) or callsite.HANDING.get()
    if line is not None:
        set_mark(item, line, callsite.HANDED_BY)


def _outside(submit: FrameType) -> FrameType | None:
    """Who called ``submit``: the loop's ``run_in_executor`` did not make the call, but its caller did."""
    caller = submit.f_back
    if caller is None or caller.f_code.co_name != "run_in_executor":
        return caller
    return caller.f_back if callsite.kind_of(caller.f_code.co_filename) == callsite.RUNNER else caller


_jobs: Final[WeakValueDictionary[int, Any]] = WeakValueDictionary()
"""The jobs of thread pools by their numbers; a pool keeps a job until it has the result."""


def job_made(job: Any, pool: Any, frames: Callable[[int], FrameType]) -> None:
    """A pool of multiprocessing makes a job, in the thread that submits it; only pools of threads matter."""
    if not isinstance(pool, sys.modules["multiprocessing.pool"].ThreadPool):
        return
    line = callsite.user(frames(2)) or callsite.HANDING.get()
    if line is not None:
        set_mark(job, line, callsite.HANDED_BY)
        _jobs[job._job] = job


def _item(run: FrameType) -> Any:
    return run.f_locals.get("self")


def _job(worker: FrameType) -> Any:
    known = worker.f_locals
    number = known.get("job")
    if type(known) is dict:
        known.clear()  # before Python 3.13 it would keep the arguments as long as the thread lives
    return None if number is None else _jobs.get(number)


def points(module: ModuleType) -> tuple[Point, ...]:
    """The hook points where calls are passed to threads."""
    if module.__name__ == "asyncio":
        return (
            Point(module, "to_thread", before=hands, var=callsite.HANDING, at_call=True, missing_ok=True),
        )
    if module.__name__ == "anyio.to_thread":  # its threads run the call in a copy of the caller's context
        return (Point(module, "run_sync", before=hands, var=callsite.HANDING, at_call=True, missing_ok=True),)
    if module.__name__ == "multiprocessing.pool":
        _runs(module, getattr(module, "worker", None), _job)
        return tuple(
            Point(kind, "__init__", after=job_made, missing_ok=True)
            for kind in ("ApplyResult", "IMapIterator")
        )
    _runs(module, getattr(getattr(module, "_WorkItem", None), "run", None), _item)
    return (Point("_WorkItem", "__init__", after=work_made, missing_ok=True),)


def _runs(module: ModuleType, function: Any, work_in: Callable[[FrameType], Any]) -> None:
    code = getattr(function, "__code__", None)
    if code is not None:
        callsite.RUNS[module.__name__] = code, work_in
