"""The event loop and the task we run in: asyncio's or trio's, if the program has loaded them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

_loop_numbers: Final[WeakKeyDictionary[Any, int]] = WeakKeyDictionary()
_loop_ids: Final = itertools.count(1)


def _none() -> Any:
    return None


_newest: tuple[Callable[[], Any], int] = (_none, 0)
"""The last loop that was looked up; the next look-up nearly always wants the same loop."""


def current_loop() -> int | None:
    """The number of the running asyncio loop or trio run; None outside of one."""
    loop = _running_loop()
    if loop is None:
        return None
    return _number_of(loop)


def current_task_and_loop() -> tuple[str | None, int | None]:
    """The name of the running asyncio or trio task, and the number of its loop."""
    asyncio_events = sys.modules.get("asyncio.events")
    loop = None if asyncio_events is None else asyncio_events._get_running_loop()
    if loop is None:
        return current_task(), current_loop()
    task = sys.modules["asyncio.tasks"].current_task()
    return None if task is None else task.get_name(), _number_of(loop)


def _number_of(loop: Any) -> int:
    known, number = _newest
    return number if known() is loop else _look_up(loop)


def _look_up(loop: Any) -> int:
    global _newest
    number = _loop_numbers.get(loop)
    if number is None:
        number = _loop_numbers[loop] = next(_loop_ids)
    _newest = ref(loop), number  # one assignment: what another thread reads belongs together
    return number


def _running_loop() -> Any:
    asyncio_events = sys.modules.get("asyncio.events")
    if asyncio_events is not None:
        loop = asyncio_events._get_running_loop()
        if loop is not None:
            return loop
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            return trio.lowlevel.current_trio_token()
        except RuntimeError:
            return None
    return None


def current_task() -> str | None:
    """The name of the running asyncio or trio task; None outside of one."""
    asyncio_events = sys.modules.get("asyncio.events")
    if asyncio_events is not None and asyncio_events._get_running_loop() is not None:
        task = sys.modules["asyncio.tasks"].current_task()
        return None if task is None else task.get_name()
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            return str(trio.lowlevel.current_task().name)
        except RuntimeError:
            return None
    return None
