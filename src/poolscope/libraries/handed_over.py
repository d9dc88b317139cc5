"""concurrent.futures, asyncio and anyio: the line of the program that passed a call to a thread.

None of the program's lines is on that thread's stack if the call is a library's own function: ``pool.map(requests.get,
urls)``. So each piece of work remembers the line that made it, and `callsite` asks for it where it finds no other.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

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


def points(module: ModuleType) -> tuple[Point, ...]:
    """The hook points where calls are passed to threads."""
    if module.__name__ == "asyncio":
        return (
            Point(module, "to_thread", before=hands, var=callsite.HANDING, at_call=True, missing_ok=True),
        )
    if module.__name__ == "anyio.to_thread":  # its threads run the call in a copy of the caller's context
        return (Point(module, "run_sync", before=hands, var=callsite.HANDING, at_call=True, missing_ok=True),)
    code = getattr(getattr(getattr(module, "_WorkItem", None), "run", None), "__code__", None)
    callsite.RUNS[:] = [] if code is None else [code]
    return (Point("_WorkItem", "__init__", after=work_made, missing_ok=True),)
