"""The bounded queue between hooks and everybody who wants to know, and its drain.

`put` is all a hook ever does with it: one append, no lock, no call out, so it is safe inside garbage
collection and signal handlers. Consumers are registered by a door and called at drain time only.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from poolscope.facts import BEGUN, HookFailure, Moment, Sheet

Consumer: TypeAlias = Callable[[Moment, Sheet], None]

CAPACITY: Final = 65_536
"""Facts kept while nobody drains; about 20 MB at worst."""
RELIEF_AT: Final = 1_024
"""From this length on the next request drains some itself (DESIGN law 5)."""
RELIEF_BATCH: Final = 512


class FactQueue:
    """Facts in the order they were stated, and the consumers they go to."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.epoch = 0
        """How many forks lie between this process and the one that imported us."""
        self.consumers: tuple[Consumer, ...] = ()
        self.at_fork: tuple[Callable[[], None], ...] = ()
        """Called in a forked child after the queue itself was emptied."""
        self._reset()

    def _reset(self) -> None:
        self._facts: deque[tuple[Moment, Sheet]] = deque()
        self._lock = threading.Lock()
        self._drops = itertools.count(1)
        self.dropped = 0
        """Facts lost because the queue was full."""

    def __len__(self) -> int:
        return len(self._facts)

    def __repr__(self) -> str:
        return f"<FactQueue {len(self)} waiting, {self.dropped} dropped, {len(self.consumers)} consumers>"

    def put(self, moment: Moment, sheet: Sheet) -> None:
        """State a fact. Never blocks; a full queue drops it and counts."""
        if len(self._facts) < self.capacity:
            self._facts.append((moment, sheet))
        else:
            self.dropped = next(self._drops)

    def relieve(self) -> None:
        """Drain a batch when the queue has grown long; called where a request starts, in its own task."""
        if len(self._facts) >= RELIEF_AT:
            self.drain(RELIEF_BATCH)

    def drain(self, limit: int | None = None) -> bool:
        """Hand up to ``limit`` waiting facts to the consumers; False if somebody else is draining."""
        lock = self._lock
        if not lock.acquire(blocking=False):
            return False
        try:
            self._deliver(limit)
        finally:
            lock.release()
        return True

    def settle(self, timeout: float = 5.0) -> bool:
        """Drain everything, waiting for a drain under way; False if that did not end within ``timeout`` s."""
        if not self._lock.acquire(timeout=timeout):
            return False
        try:
            self._deliver(None)
        finally:
            self._lock.release()
        return True

    def _deliver(self, limit: int | None) -> None:
        facts, consumers = self._facts, self.consumers
        # One pass over what is there now: a consumer that states facts itself must not keep us here.
        for _ in range(len(facts) if limit is None else min(limit, len(facts))):
            moment, sheet = facts.popleft()
            for consume in consumers:
                try:
                    consume(moment, sheet)
                except Exception as error:
                    if not isinstance(sheet, HookFailure):
                        self.put(BEGUN, HookFailure(f"drain {consume!r}", type(error).__name__, False))

    def add_consumer(self, consumer: Consumer) -> None:
        """Let ``consumer`` see every fact stated from now on; the first to come starts with an empty queue."""
        if not self.consumers:
            self._facts.clear()
        self.consumers = (*self.consumers, consumer)

    def remove_consumer(self, consumer: Consumer) -> None:
        """Take ``consumer`` out again; unknown ones are ignored."""
        self.consumers = tuple(known for known in self.consumers if known != consumer)

    def after_fork(self) -> None:
        """In a forked child: the parent's facts are the parent's to tell, and its locks may be held."""
        self._reset()
        self.epoch += 1
        for callback in self.at_fork:
            callback()


FACTS: Final = FactQueue()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FACTS.after_fork)
