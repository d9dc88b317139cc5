"""The event loop and the task we run in: asyncio's or trio's, if the program has loaded them.

Another thread may be importing them just now; in a process that it forked meanwhile they stay half imported.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from typing import Any, Final, cast
from weakref import WeakKeyDictionary, ref

_loop_numbers: Final[WeakKeyDictionary[Any, int]] = WeakKeyDictionary()
_loop_ids: Final = itertools.count(1)
_loaded: Final = cast("Callable[[str], Any]", sys.modules.get)


def _none() -> Any:
    return None


_newest: tuple[Callable[[], Any], int] = (_none, 0)
"""The last loop that was looked up; the next look-up nearly always wants the same loop."""


def running_loop() -> Any:
    """The running loop of asyncio; None outside of one."""
    events = _loaded("asyncio.events")
    try:
        return None if events is None else events._get_running_loop()
    except AttributeError:
        return None


def current_loop() -> int | None:
    """The number of the running asyncio loop or trio run; None outside of one."""
    loop = running_loop()
    if loop is None:
        loop = _running_trio()
    return None if loop is None else _number_of(loop)


def current_task() -> str | None:
    """The name of the running asyncio or trio task; None outside of one."""
    if running_loop() is not None:
        return _asyncios_task()
    return None if _loaded("trio") is None else _trios_task()


def current_task_and_loop() -> tuple[str | None, int | None]:
    """The name of the running asyncio or trio task, and the number of its loop."""
    loop = running_loop()
    if loop is None:
        return current_task(), current_loop()
    task = _loaded("asyncio.tasks").current_task()  # not by a function: every asynchronous request comes here
    known, number = _newest
    return None if task is None else task.get_name(), number if known() is loop else _number_of(loop)


def _number_of(loop: Any) -> int:
    global _newest
    number = _loop_numbers.get(loop)
    if number is None:
        number = _loop_numbers[loop] = next(_loop_ids)
    _newest = ref(loop), number  # one assignment: what another thread reads belongs together
    return number


def _asyncios_task() -> str | None:
    task = _loaded("asyncio.tasks").current_task()
    return None if task is None else task.get_name()


def _running_trio() -> Any:
    trio = _loaded("trio")
    try:
        return None if trio is None else trio.lowlevel.current_trio_token()
    except (RuntimeError, AttributeError):
        return None


def _trios_task() -> str | None:
    try:
        return str(_loaded("trio").lowlevel.current_task().name)
    except (RuntimeError, AttributeError):
        return None
