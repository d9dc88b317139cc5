"""Small numbers for things that must be told apart but not kept: event loops and tasks."""

from __future__ import annotations

import itertools
import sys
from typing import Any, Final
from weakref import WeakKeyDictionary

_loop_numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_loop_ids: Final = itertools.count(1)


def current_loop() -> int | None:
    """The number of the running asyncio loop or trio run; None outside of one."""
    loop = _running_loop()
    if loop is None:
        return None
    number = _loop_numbers.get(loop)
    if number is None:
        number = _loop_numbers[loop] = next(_loop_ids)
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
