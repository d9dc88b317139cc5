"""Small numbers for things that must be told apart but not kept: client settings, event loops, tasks."""

from __future__ import annotations

import itertools
import os
import sys
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakKeyDictionary

LIMIT: Final = 1_000
_KEY: Final = os.urandom(32)
_numbers: dict[bytes, int] = {}
_loop_numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_loop_ids: Final = itertools.count(1)


def number_of_settings(*parts: Any) -> int | None:
    """Equal parts get equal numbers. Only a keyed hash is kept, so no credential can be read back.

    Objects without a value of their own count by identity, i.e. as different. None past 1,000 kinds.
    """
    digest = blake2b(repr([_value(part) for part in parts]).encode(), key=_KEY, digest_size=16).digest()
    number = _numbers.get(digest)
    if number is None and len(_numbers) < LIMIT:
        number = _numbers[digest] = len(_numbers) + 1
    return number


def _value(part: Any) -> Any:
    if part is None or isinstance(part, bool | int | float | str | bytes):
        return part
    if isinstance(part, list | tuple):
        return [_value(item) for item in part]
    if isinstance(part, dict):
        return sorted((repr(key), _value(value)) for key, value in part.items())
    state = getattr(part, "__dict__", None)
    return (type(part).__qualname__, _value(dict(state)) if state and len(state) < 20 else id(part))


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
