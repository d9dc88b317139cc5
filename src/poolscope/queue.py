"""The bounded queue between the hooks and the consumers of facts, and its drain.

A hook only calls `put`: one append, no lock, no call out, so it is safe inside garbage
collection and signal handlers. Consumers are registered by a door and called at drain time only.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

from poolscope.facts import BEGUN, HookFailure, Moment, Sheet
from poolscope.genuine import allocate_lock, get_ident

Consumer: TypeAlias = Callable[[Moment, Sheet], None]

CAPACITY: Final = 65_536
"""Facts kept while nobody drains; about 20 MB at worst."""
RELIEF_AT: Final = 64
"""At this length the next request drains some facts itself. Few, because Python's garbage collector examines each fact
that waits: sheets that outlive its young generation cost it a tenth of all that capturing costs.
"""
RELIEF_BATCH: Final = 8
"""It drains down to so many below that length: hundreds at once would make it milliseconds slower than the others."""
_OWN: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def is_the_hosts(error: BaseException) -> bool:
    """Whether a signal handler raised ``error`` while it interrupted poolscope's code: then it must pass.

    Only a signal handler gets the frame it was called from as an argument.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        interrupted, traceback = traceback.tb_frame, traceback.tb_next
        frame = traceback.tb_frame
        if not frame.f_code.co_filename.startswith(_OWN):
            for value in frame.f_locals.values():
                if value is interrupted or (
                    type(value) is tuple and any(one is interrupted for one in value)
                ):
                    return True
    return False


class FactQueue:
    """Facts in the order they were stated, and the consumers they go to."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.epoch = 0
        """The number of forks since poolscope was imported."""
        self.consumers: tuple[Consumer, ...] = ()
        self.at_fork: tuple[Callable[[], None], ...] = ()
        """Called in a forked child after the queue itself was emptied."""
        self.at_first_request: Callable[[], None] | None = None
        """Called once, in the task of the first request of this process (and of each forked child)."""
        self.after_relief: tuple[Callable[[], None], ...] = ()
        """Called after a request has drained some facts, in its own task and holding no lock."""
        self._reset()

    def _reset(self) -> None:
        self._facts: deque[tuple[Moment, Sheet]] = deque()
        self._lock = allocate_lock()
        self._drops = itertools.count(1)
        self.dropped = 0
        """Facts lost because the queue was full."""
        self._drainer: int | None = None
        self._after_drain: list[Callable[[], None]] = []
        # At the first request the queue is empty, but somebody may want to know of that request.
        self._relief_at = 0

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

    def rearm(self) -> None:
        """Call `at_first_request` for the next request as well."""
        self._relief_at = 0

    def relieve(self) -> None:
        """Drain a few facts when the queue has grown long; called where a request starts, in its own task."""
        if len(self._facts) >= self._relief_at:
            first, self._relief_at = self._relief_at == 0, RELIEF_AT
            if first:
                if self.at_first_request is not None:
                    self.at_first_request()
            else:
                self.drain(len(self._facts) - RELIEF_AT + RELIEF_BATCH)
                for action in self.after_relief:
                    action()

    def drain(self, limit: int | None = None) -> bool:
        """Hand up to ``limit`` waiting facts to the consumers; False if another thread is draining."""
        if not self._lock.acquire(blocking=False):
            return False
        with self._draining():
            self._deliver(limit)
        return True

    def settle(self, timeout: float = 5.0) -> bool:
        """Drain everything, waiting for a drain under way; False if that did not end within ``timeout`` s."""
        with self.settled(timeout) as settled:
            return settled

    @contextmanager
    def settled(self, timeout: float = 5.0) -> Iterator[bool]:
        """Settle, and prevent drains during the block; yields False if a drain under way did not end.

        A drain of this very thread, interrupted by a signal handler, cannot end during the block.
        """
        if self._drainer == get_ident() or not self._lock.acquire(timeout=timeout):
            yield False
            return
        with self._draining():
            self._deliver(None)
            self._relief_at = min(self._relief_at, 1)  # a later request passes on what was drained here
            yield True

    def when_idle(self, action: Callable[[], None]) -> None:
        """Run ``action`` now, or, if this very thread is draining, right after that drain.

        A signal handler may interrupt a drain, and would wait for ever for its end.
        """
        if self._drainer == get_ident():
            self._after_drain.append(action)
        else:
            action()

    @contextmanager
    def _draining(self) -> Iterator[None]:
        self._drainer = get_ident()
        try:
            yield
        finally:
            postponed, self._after_drain = self._after_drain, []
            self._drainer = None
            self._lock.release()
        for action in postponed:
            action()

    def _deliver(self, limit: int | None) -> None:
        facts, consumers = self._facts, self.consumers
        next_fact = facts.popleft
        # Only what is there now: a consumer that states facts itself must not keep us here for ever.
        for _ in range(len(facts) if limit is None else min(limit, len(facts))):
            moment, sheet = next_fact()
            for consume in consumers:
                try:
                    consume(moment, sheet)
                except Exception as error:
                    if is_the_hosts(error):
                        raise
                    if not isinstance(sheet, HookFailure):
                        self.put(BEGUN, HookFailure(f"drain {consume!r}", type(error).__name__, False))

    def add_consumer(self, consumer: Consumer) -> None:
        """Let ``consumer`` see every fact stated from now on; the first consumer starts with an empty queue."""
        if not self.consumers:
            self._facts.clear()
        self.consumers = (*self.consumers, consumer)

    def remove_consumer(self, consumer: Consumer) -> None:
        """Remove ``consumer``; an unknown one is ignored."""
        self.consumers = tuple(known for known in self.consumers if known != consumer)

    def after_fork(self) -> None:
        """In a forked child: the parent reports its own facts, and its locks may be held."""
        self._reset()
        self.epoch += 1
        for callback in self.at_fork:
            callback()


FACTS: Final = FactQueue()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=FACTS.after_fork)
