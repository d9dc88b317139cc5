"""The recording of one process: from the hooks going in to the report, however the program ends.

The first process feeds its records to an overview (and to the saved file); its children write spools. When the first
process ends, it reads the spools after its own records, in the order of their start, so that `view` of the saved file
sees exactly the records of the report.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from poolscope.facts import now
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.queue import FACTS
from poolscope.recording import child_env, processes, spools, stuck, termination
from poolscope.recording.deliver import needs_report, publish, publish_nothing
from poolscope.recording.gate import FAILED, RunGate
from poolscope.recording.heartbeat import Heartbeat, may_start_after_fork
from poolscope.recording.interrupt import interrupted, remember_interrupt
from poolscope.recording.line_file import LineFile
from poolscope.recording.live import live_socket
from poolscope.recording.options import Options
from poolscope.recording.outputs import Outputs
from poolscope.recording.own_file import OwnFile
from poolscope.recording.stderr import note
from poolscope.recording.stream import Stream
from poolscope.recording.unobserved import not_observed

if TYPE_CHECKING:
    from poolscope.records import Record

IN_PROGRESS_AFTER: Final = 1.0
"""Seconds after which a request that is not over is written to the saved file, and again when it is."""

_active: Session | None = None


def active() -> Session | None:
    """The recording of this process, if there is one."""
    return _active


class Session:
    """Records this process until it ends, and prints the report if it is the first of its family."""

    def __init__(self, options: Options, program: str, spool_directory: str | None = None) -> None:
        self.options = options
        self.program = program
        self.first = spool_directory is None
        """Whether this process prints the report; the others write spools."""
        self.exit_code: int | None = None
        self.hint: str | None = None
        """A last line of advice."""
        self.silent_if_nothing = False
        """Print no report when no connection was seen: nobody asked for this program."""
        self._spools = spools.Spools(spool_directory or "")
        self._outputs: Outputs | None = None
        self._heartbeat = Heartbeat(self._beat)
        self._always_reports = False
        """Whether a run without any request has a report as well; else nothing that draws one is loaded for it."""
        self._collector: Any = None
        self._termination = termination.Termination(self._terminated)
        self._dump = False
        self._socket = live_socket(options)
        self.gate = RunGate(options)
        self._begin()

    def __repr__(self) -> str:
        return f"<Session of {self.program}, {'first process' if self.first else 'child'}>"

    def _begin(self) -> None:
        """The state at the start of every process, forked or not."""
        self._pid = os.getpid()
        self._end = termination.Once()
        self._waiting: list[int] = []
        started_at = now()
        self._file: LineFile | None = None if self.first else self._spools.file(started_at, self._pid)
        parent = None if self.first else os.getppid()
        self._stream = Stream(self.program, parent, started_at, self.options.origin, self._file)
        self._stream.we_export = self.options.otlp is not None
        self._not_followed = 0
        self._waits = stuck.Watch()
        self._next_report = started_at + (self.options.every or 0.0)
        if self._socket is not None:
            self._stream.draw()
            self._socket.watch(self._stream)

    def start(self) -> None:
        """Put the hooks in; UsageError if a file that was asked for cannot be written."""
        global _active
        if self.first:
            self._outputs = Outputs(self.options, by_hand=not self.silent_if_nothing)
            self._file = self._stream.file = self._outputs.saved
            self._spools = spools.Spools(spools.place_for(self._outputs.beside))
            self._spools.prepare()
            if self.options.follow:
                child_env.follow(self.options, self._spools.directory)
            reports = needs_report(self.options, by_hand=not self.silent_if_nothing)
            self._always_reports = reports or self._file is not None or self.gate.asked
            if self._always_reports:
                self._stream.prepare()
        if self.options.otlp is not None:
            from poolscope.recording.otlp import collector

            self._collector = collector(self.options.otlp, self.program)
            self._collector.start()
        _active = self
        INSTRUMENTOR.ledger.keep_query = self.options.keep_query
        INSTRUMENTOR.ledger.keep_path = self.options.keep_path
        INSTRUMENTOR.hold(self)
        INSTRUMENTOR.listen(self._stream.take, prepare=self._stream.prepare)
        FACTS.at_first_request = self._first_request
        FACTS.at_fork = (*FACTS.at_fork, self._after_fork)
        processes.watch(self)
        self._handle_signals()
        for _ in range(2):  # Ctrl-C may come before the first line of the first
            atexit.register(self._at_exit)
        if self.options.every is not None:
            self._heartbeat.start()
        if self._socket is not None and self.first:
            self._heartbeat.start()
            self._heartbeat.nudge()

    def _handle_signals(self) -> None:
        self._handle_termination()
        try:
            if self.options.dump_on is not None:
                signal.signal(self.options.dump_on, self._dump_asked)
        except ValueError:  # not in the main thread: the program is embedded in something else
            return

    def _handle_termination(self) -> None:
        self._termination.start()
        if self._termination.needs_heartbeat:
            self._heartbeat.interval = termination.WAKE_EVERY
            self._heartbeat.start()

    def _first_request(self) -> None:
        self._heartbeat.start()
        if self._collector is not None:
            self._collector.first_request()

    def _beat(self) -> None:
        """Once a second, in poolscope's thread: drain, flush, and print the requested reports."""
        self._termination.wake()
        with FACTS.settled(1.0) as settled:
            if settled:
                INSTRUMENTOR.ledger.tell_progress(now(), IN_PROGRESS_AFTER)
        if self._file is not None:
            self._file.flush()
        if not self.options.quiet:
            self._waits.tell()
        if self._outputs is not None:
            self._outputs.tell()
        if self._socket is not None:
            self._socket.beat()
        due = self.first and self.options.every is not None and now() >= self._next_report
        if due or self._dump:
            self._dump = False
            self._next_report = now() + (self.options.every or 0.0)
            self._publish_so_far()

    def _publish_so_far(self) -> None:
        from copy import deepcopy

        with FACTS.settled(1.0) as settled:
            overview = deepcopy(self._stream.draw()) if settled and self.first else None
            summary = self._stream.summary(self.exit_code, self._not_followed)
        if overview is None:  # a child has no overview; its spool has all records
            overview = spools.overview_of(self._file)
        else:
            self._spools.read(overview)
        overview.add(summary)
        look = self.gate.look
        publish(overview, self.options, self._report_file(), lambda: self._records_so_far(summary), look)

    def _records_so_far(self, *more: Record) -> Iterator[Record]:
        if self._file is not None:
            self._file.flush()
            yield from spools.written(self._file.path)
        if self.first:
            yield from self._spools.records()
        yield from more

    def _dump_asked(self, *_: Any) -> None:
        self._dump = True
        self._heartbeat.start()
        self._heartbeat.nudge()

    def _terminated(self, number: int) -> None:
        """Report, then let the signal kill."""
        if os.getpid() == 1:  # the kernel spares a container's first process, so the program goes on
            self._dump_asked()
            return

        def die() -> None:
            if not self._end.begun:
                self.exit_code = -number
            self.finish()
            termination.die_of(number)

        FACTS.when_idle(die)

    # Called by processes.py --------------------------------------------------------------------

    def before_fork(self) -> None:
        """Stop our thread: Python warns of forks in a process with several threads."""
        if self._heartbeat.running:
            self._heartbeat.stop()
            self.flush()
        if self._collector is not None:
            self._collector.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on as before the fork, but a little later: Python 3.13 counts the threads after this call."""
        if self.options.every is not None or (self._socket is not None and may_start_after_fork()):
            self._heartbeat.start()
        else:
            FACTS.rearm()

    def _after_fork(self) -> None:
        """In the child: start a new spool, and forget everything of the parent."""
        if self._end.begun:
            return
        INSTRUMENTOR.unlisten(self._stream.take)
        if self._outputs is not None:
            self._outputs.leave()
        if self._socket is not None:
            self._socket.leave()
        self.first = False
        self.exit_code = None
        self._begin()
        INSTRUMENTOR.listen(self._stream.take, prepare=self._stream.prepare)
        self._heartbeat.reset()
        self._handle_termination()
        if self._collector is not None:
            self._collector.after_fork()

    def before_exit(self, status: int) -> None:
        """``os._exit``: no atexit handler will run."""
        if self._pid == os.getpid():
            self.exit_code = status & 0xFF
            self.finish()
            if self.gate.failed and not self.exit_code:
                os._exit(FAILED)

    def before_exec(self) -> None:
        """The process may become another program, and poolscope would not see its end."""
        self.flush()

    def flush(self) -> None:
        """Bring the file up to date."""
        FACTS.drain()
        if self._file is not None:
            self._file.flush()

    def child_not_followed(self) -> None:
        """A Python process was started that will not write a spool."""
        self._not_followed += 1

    # End ----------------------------------------------------------------------------------------

    def _at_exit(self) -> None:
        termination.finish_at_exit(self.finish)

    def finish(self) -> list[int]:
        """Settle, close the file and print the report, once; never raises. Signals wait for it; returns them."""
        if self._pid != os.getpid():  # forked just now, and not ready
            return []
        with termination.undisturbed() as self._waiting, self._end.claimed() as claimed:
            if claimed:
                self._finish()
        if interrupted(self.exit_code):
            remember_interrupt()
        return self._waiting

    def _finish(self) -> None:
        try:
            with termination.nothing_collected(), self._stream.room():
                self._stream.end()
                self._heartbeat.stop()
                if self._socket is not None:
                    self._socket.close()
                self._settle()
                if self.first:
                    self._finish_first()
                else:
                    self._finish_child()
        except Exception as error:
            note(f"the report could not be made ({type(error).__name__}: {error})")
        finally:
            processes.unwatch()  # until here another thread's os._exit() waits

    def _settle(self) -> None:
        lost = None if self._collector is None else self._collector.finish()
        if lost is not None:
            note(lost)
        FACTS.settle(1.0)
        INSTRUMENTOR.ledger.close()
        INSTRUMENTOR.unlisten(self._stream.take)

    def _finish_child(self) -> None:
        file = self._file
        if file is not None and (self._stream.headed or self._not_followed):
            self._stream.put(self._stream.summary(self.exit_code, self._not_followed))
            file.flush()
            if file.error is not None:
                note(f"the records of process {self._pid} are not complete: {file.error}")

    def _finish_first(self) -> None:
        seen = self._not_followed or self._stream.has_something or not self._spools.is_empty
        if seen or self._always_reports:
            self._finish_with_report()
        else:
            self._spools.remove()
            if not self.silent_if_nothing:
                publish_nothing(self.options, not_observed(we_export=self._stream.we_export))
        if self.hint is not None:
            note(self.hint)

    def _finish_with_report(self) -> None:
        overview = self._stream.draw()
        self._stream.head()
        failures = self._spools.merge(overview, self._file)
        if self._file is not None:
            for finding in overview.found():
                self._file.add(finding)
        self.gate.open(overview)
        self._stream.put(self._stream.summary(self.exit_code, self._not_followed))
        if self._file is not None:
            self._file.flush()
        self._spools.remove()
        nothing = self.silent_if_nothing and overview.is_empty
        if self._outputs is not None and not nothing:
            self._outputs.tell()
        for failure in failures:
            note(failure)
        if not nothing:
            publish(overview, self.options, self._report_file(), self._records_so_far, self.gate.look)
            for line in self.gate.judge(overview):
                note(line)
        if self._outputs is not None:
            self._outputs.complete(nothing=nothing)

    def _report_file(self) -> OwnFile | None:
        return None if self._outputs is None else self._outputs.report
