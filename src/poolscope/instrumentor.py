"""One switch for the process: hooks in, ledger on, signals on; and all of it off again.

Several holders may need the hooks at once (a program that called `instrument()`, a test's `capture()`, ``poolscope
run``): the hooks go in with the first holder and out with the last.
"""

from __future__ import annotations

from _thread import RLock
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from poolscope import facts
from poolscope.ledger import Ledger
from poolscope.libraries.activation import Activation
from poolscope.otel_version import api, too_old
from poolscope.queue import FACTS
from poolscope.story.door import ENTRANCE
from poolscope.story.hook import HOOKS
from poolscope.story.live import LIVE
from poolscope.supported import NotSupportedError, refusal

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from poolscope import records
    from poolscope.ledger.snapshot import Snapshot
    from poolscope.signals.hooks import RequestHook, ResponseHook
    from poolscope.signals.options import Buckets, EventsEmitted, SetupSpans, SpanFacts, SpanNames

Listener = Callable[["records.Record"], None]
Need = Callable[[int, facts.Exchange], bool]


def _ready() -> None:
    """What a listener prepares that needs nothing."""


class Instrumentor:
    """The hooks' holders, the process's ledger, and the listeners to its records."""

    def __init__(self) -> None:
        self._renew_locks()
        self._holders: dict[object, bool] = {}
        """The holders, and whether each needs the global hooks."""
        self._activation = Activation(self._client_comes)
        self._listeners: tuple[tuple[Listener, Need | None, Callable[[], None]], ...] = ()
        self._clients = False
        """Whether a library was imported that makes requests; until then there is nothing to listen to."""
        self.ledger = Ledger()

    def __repr__(self) -> str:
        return f"<Instrumentor held by {len(self._holders)}, {self._activation!r}>"

    @property
    def active(self) -> bool:
        """Whether the hooks are in."""
        return any(self._holders.values())

    def hold(self, holder: object, *, hooks: bool = True) -> bool:
        """Put the hooks in, or keep them in, for ``holder``; False if it holds them already.

        Without ``hooks`` only the ledger is switched on, for objects that are observed one by one.
        NotSupportedError in an interpreter that poolscope was not tested with.
        """
        reason = refusal()
        if reason is not None:
            raise NotSupportedError(f"poolscope is {reason}")
        with self._lock:
            if holder in self._holders:
                return False
            first, active = not self._holders, self.active
            self._holders[holder] = hooks
            if first:
                for hook in HOOKS.values():
                    hook.reset()
                FACTS.settle()
                LIVE.reset()
                self.ledger.reset()
                FACTS.add_consumer(self.ledger.consume)
            if hooks and not active:
                self._activation.start()
            return True

    def holds(self, holder: object) -> bool:
        """Whether ``holder`` holds us."""
        return holder in self._holders

    def release(self, holder: object) -> bool:
        """Release ``holder``; the last one takes the hooks out. False if it held nothing."""
        with self._lock:
            if holder not in self._holders:
                return False
            hooks = self._holders.pop(holder)
            if hooks and not self.active:
                self._activation.stop()
            if holder is _EXPLICIT:
                self._activation.forget_some()
            if not self._holders:
                FACTS.settle()
                FACTS.remove_consumer(self.ledger.consume)
            return True

    def observe_some(self, *packages: str) -> None:
        """Put the hooks into ``packages`` for objects that are observed one by one."""
        with self._lock:
            self._activation.observe_some(*packages)

    def listen(
        self, listener: Listener, needs: Need | None = None, prepare: Callable[[], None] = _ready
    ) -> None:
        """Let ``listener`` get every record of the process's ledger, at drain time.

        If a listener does not need all exchanges, ``needs`` says which ones; it may get more. ``prepare`` loads what
        it takes to listen: many programs never import a library that makes requests.
        """
        with self._preparing:
            if self._clients:
                prepare()
            self._listeners = (*self._listeners, (listener, needs, prepare))
        self._tell_listeners()

    def _client_comes(self) -> None:
        with self._preparing:
            if self._clients:
                return
            for _, _, prepare in self._listeners:
                prepare()
            self._clients = True
        self._tell_listeners()

    def unlisten(self, listener: Listener) -> None:
        """Remove ``listener``."""
        self._listeners = tuple(known for known in self._listeners if known[0] != listener)
        self._tell_listeners()

    def _tell_listeners(self) -> None:
        """A record of an exchange costs as much as observing it, so the ledger knows who needs one."""
        needs = tuple(need for _, need, _ in self._listeners if need is not None)
        self.ledger.yield_record = self._tell if self._listeners and self._clients else None
        if len(needs) < len(self._listeners):
            self.ledger.needs = None
        elif len(needs) == 1:
            self.ledger.needs = needs[0]
        else:
            self.ledger.needs = lambda pid, exchange: any(need(pid, exchange) for need in needs)

    def _tell(self, record: records.Record) -> None:
        for listener, _, _ in self._listeners:
            listener(record)

    def snapshot(self) -> Snapshot:
        """What is live right now; empty while nothing is instrumented."""
        FACTS.settle()
        # What was alive when the last holder was released may be long gone.
        return (self.ledger if self._holders else Ledger()).snapshot()

    def after_fork(self) -> None:
        """In a forked child: fresh locks and an empty ledger."""
        self._renew_locks()
        self.ledger.reset()

    def _renew_locks(self) -> None:
        self._lock = RLock()
        self._preparing = RLock()


INSTRUMENTOR = Instrumentor()
FACTS.at_fork = (*FACTS.at_fork, INSTRUMENTOR.after_fork)

_PROGRAM = object()
_EXPLICIT = object()
_signals: Any = None
_said_no = False
_carried: tuple[Any, ...] = ()


def instrument(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    excluded_urls: str | None = None,
    request_hook: RequestHook | None = None,
    response_hook: ResponseHook | None = None,
    setup_spans: SetupSpans | None = None,
    span_facts: SpanFacts | None = None,
    span_links: bool | None = None,
    span_names: SpanNames | None = None,
    events: EventsEmitted | None = None,
    metric_buckets: Buckets | None = None,
    max_servers: int | None = None,
    excluded_servers: str | None = None,
    signals: bool = True,
) -> None:
    """Watch every connection of httpx, httpx2, requests, urllib3 and aiohttp from now on; a second call does nothing.

    With ``opentelemetry-api`` installed, spans, metrics and events go to the global providers, or to those
    given as ``tracer_provider``, ``meter_provider``, ``logger_provider``; ``excluded_urls`` is that of the
    official packages; ``request_hook`` and ``response_hook`` are in docs/opentelemetry.md, "Hooks". The other
    options say how much is sent (same page, "Choose how much is sent"). ``signals=False`` leaves OpenTelemetry
    out. Only a wrong option raises. If signals are impossible for another reason, a line on stderr says so, and
    the connections are watched without them.
    """
    given = dict(locals())
    options = {name: value for name, value in given.items() if name != "signals" and value is not None}
    if _refused() or INSTRUMENTOR.holds(_PROGRAM):
        return
    started = _signals_for(options, wanted=signals)
    if INSTRUMENTOR.hold(_PROGRAM):
        _switch(started)


def observe(*packages: str) -> None:
    """Observe the chosen objects of ``packages``."""
    if _refused():
        return
    first = INSTRUMENTOR.hold(_EXPLICIT, hooks=False)  # before the hooks: it forgets what they have seen
    INSTRUMENTOR.observe_some(*packages)
    if first and _signals is None:
        _switch(_signals_for({}, wanted=True))


def _note(words: str) -> None:
    from poolscope.recording.stderr import note

    note(words)


def _refused() -> bool:
    """Whether this interpreter is not supported, which is reported once."""
    global _said_no
    reason = refusal()
    if reason is not None and not _said_no:
        _said_no = True
        _note(reason)
    return reason is not None


def _switch(signals: Any) -> None:
    """Send everything to ``signals`` (or to none), instead of the previous ones."""
    global _signals
    before, _signals = _signals, signals
    _change_door(before, signals)


def carry(signals: Any) -> None:
    """Send everything to ``signals`` as well; the program's own signals keep the requests' spans."""
    global _carried
    _carried = (*_carried, signals)
    _change_door(None, signals)


def drop(signals: Any) -> None:
    """Send ``signals`` nothing any more."""
    global _carried
    _carried = tuple(known for known in _carried if known is not signals)
    _change_door(signals, None)


def _change_door(before: Any, after: Any) -> None:
    if before is not None:
        if ENTRANCE.door is before.spans:
            ENTRANCE.opens(None)
        before.stop()
        INSTRUMENTOR.unlisten(before.take)
    if after is not None:
        after.start()
        after.tell_progress = INSTRUMENTOR.ledger.tell_progress
        INSTRUMENTOR.listen(after.take, after.needs)
    chosen = _signals or (_carried[-1] if _carried else None)
    door = None if chosen is None else chosen.spans
    if ENTRANCE.door is not door:
        ENTRANCE.opens(door)


def _signals_for(options: dict[str, Any], wanted: bool) -> Any:
    version = api() if wanted else None
    if version is not None:
        return _signals_with(options, too_old(version))
    if options:
        raise TypeError(f"these options need OpenTelemetry: {', '.join(sorted(options))}")
    return None


def _signals_with(options: dict[str, Any], reason: str | None) -> Any:
    try:
        if reason is None:
            from poolscope.findings import new_findings
            from poolscope.signals import Signals

            made = Signals(findings=new_findings(), **options)
            for complaint in made.complaints:
                _note(complaint)
            return made
    except Exception as error:
        if options and isinstance(error, TypeError | ValueError):
            raise
        reason = f"{type(error).__name__}: {error}"
    _note(f"no OpenTelemetry signals: {reason}")
    return None


def uninstrument() -> None:
    """Take the hooks out again, restoring only methods that are still poolscope's; open connections go on unobserved.

    Transports, adapters and clients observed one by one go on; without `instrument()` before it, this call
    silences those.
    """
    was_global = INSTRUMENTOR.release(_PROGRAM)
    if was_global and INSTRUMENTOR.holds(_EXPLICIT):
        return
    if was_global or INSTRUMENTOR.release(_EXPLICIT):
        _switch(None)


def snapshot() -> Snapshot:
    """Live clients, pools with their limits, connections, and the requests that wait for or hold them."""
    return INSTRUMENTOR.snapshot()
