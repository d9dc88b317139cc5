"""Takes one process's records: counts, filters and saves them, and feeds the report."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Final, Protocol

from poolscope import __version__
from poolscope.facts import now
from poolscope.genuine import wall
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.libraries.known import LIBRARIES
from poolscope.queue import FACTS
from poolscope.recording.our_imports import standard_library_first
from poolscope.recording.unobserved import not_observed
from poolscope.recording.watched import Watched

if TYPE_CHECKING:
    from poolscope import records
    from poolscope.reports.overview import Overview

CLIENTS: Final = tuple(name for name, library in LIBRARIES.items() if library.tested)


class Sink(Protocol):
    """A file for records."""

    def add(self, record: records.Record) -> None:
        """Append one record."""
        ...


class Stream:
    """Takes records at drain time, from one thread at a time."""

    def __init__(
        self,
        program: str,
        parent: int | None,
        started_at: float,
        origins: Sequence[str],
        file: Sink | None,
    ) -> None:
        self.file = file
        self.overview: Overview | None = None
        self.headed = False
        self.we_export = False
        """Whether the exporters in this process are ours (``--otlp``)."""
        self.room: Callable[[], AbstractContextManager[None]] = nullcontext
        """Lets our own files be opened at the program's end."""
        self._program = program
        self._parent = parent
        self._started_at = started_at
        self._ended_at: float | None = None
        self._origins = list(origins)
        self._sift: Callable[[records.Record], list[records.Record]] | None = None
        self._requests = self._connections = self._clients = 0
        self._live: set[tuple[str, int]] = set()

    def __repr__(self) -> str:
        return f"<Stream of {self._program}: {self.sums}>"

    @property
    def sums(self) -> str:
        """What was seen so far, in a few words."""
        return f"requests={self._requests} connections={self._connections} clients={self._clients}"

    @property
    def watched(self) -> Watched:
        """Captures looks for `poolscope top`."""
        return Watched(self._program, self._parent, self._started_at, self._origins)

    def draw(self) -> Overview:
        """From now on (at the latest: at the first record) the records also go into an overview."""
        if self.overview is None:
            with standard_library_first():
                from poolscope.reports.overview import Overview

            self.overview = Overview()
        return self.overview

    def prepare(self) -> None:
        """Load what takes records. Before the first request: later the program may change where modules are found."""
        with standard_library_first():
            importlib.import_module("poolscope.ledger.convert")
            self.room = importlib.import_module("poolscope.recording.room").room_for_files
            if self._parent is None:
                self.draw()

    @property
    def has_something(self) -> bool:
        """Whether there were records, or some are missing."""
        return bool(self.headed or FACTS.dropped or INSTRUMENTOR.ledger.hook_failures)

    def take(self, record: records.Record) -> None:
        """Take a record of the ledger."""
        if self._origins and self._sift is None:
            from poolscope.recording.origins import OnlyOrigins

            self._sift = OnlyOrigins(self._origins).sift
        for wanted in (record,) if self._sift is None else self._sift(record):
            self._count(wanted)
            self.head()
            self.put(wanted)

    def _count(self, record: records.Record) -> None:
        if record.type == "exchange":
            self._requests += self._is_new("exchange", record.id, record.state is None)
        elif record.type == "connection":
            over = record.closed_at is not None
            opened = record.failed_phase is None and not record.inherited
            self._connections += self._is_new("connection", record.id, over) and opened
        elif record.type == "client":
            is_new = self._is_new("client", record.id, record.close_kind is not None)
            self._clients += is_new and record.inherited_from is None

    def _is_new(self, kind: str, number: int, over: bool) -> bool:
        """Most things come at least twice: while they are live, and when they are over."""
        key = (kind, number)
        known = key in self._live
        if over:
            self._live.discard(key)
        else:
            self._live.add(key)
        return not known

    def put(self, record: records.Record) -> None:
        """Write and draw ``record`` as it is."""
        if self.file is not None:
            self.file.add(record)
        if self.overview is not None:
            self.overview.add(record)

    def head(self) -> None:
        """Begin with the header, unless that was done."""
        if self.headed:
            return
        with standard_library_first():
            from poolscope import records

        self.headed = True
        self.put(
            records.Header(
                pid=os.getpid(),
                schema=records.SCHEMA_VERSION,
                poolscope=__version__,
                python=sys.version.split()[0],
                wall_at_zero=wall() - now(),
                started_at=self._started_at,
                libraries=libraries(),
                program=self._program,
                parent=self._parent,
                origins=self._origins,
            )
        )

    def end(self) -> None:
        """The program is over: the time from now on is not its own."""
        self._ended_at = now()

    def summary(self, exit_code: int | None, children_not_followed: int) -> records.Summary:
        """The sums so far."""
        with standard_library_first():
            from poolscope import records

        ended_at = self._ended_at or now()
        return records.Summary(
            pid=os.getpid(),
            ended_at=ended_at,
            wall_time=ended_at - self._started_at,
            exit_code=exit_code,
            requests=self._requests,
            connections=self._connections,
            clients=self._clients,
            facts_dropped=FACTS.dropped,
            hooks_disabled=list(INSTRUMENTOR.ledger.hooks_disabled),
            children_not_followed=children_not_followed,
            not_observed=not_observed(we_export=self.we_export),
        )


def libraries() -> dict[str, str]:
    """The versions of the installed libraries that poolscope knows. Empty as long as none of them is imported,
    because the lookup takes 15 ms.
    """
    if not any(name in sys.modules for name in CLIENTS):
        return {}
    found: dict[str, str] = {}
    for name in CLIENTS:
        with suppress(Exception):  # not installed; or the program has no descriptor left, or no memory
            from importlib import metadata

            found[name] = metadata.version(name)
    return found
