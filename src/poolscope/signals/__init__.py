"""poolscope's facts as OpenTelemetry signals: spans on the live path, metrics and events from the drain.

Only OpenTelemetry's API is used; the SDK is the program's. A door makes a `Signals`, registers its
`spans` as the live path's door, and starts it.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from opentelemetry import _logs, trace
from opentelemetry._logs import LoggerProvider
from opentelemetry._logs._internal import ProxyLoggerProvider
from opentelemetry.metrics import MeterProvider, get_meter, get_meter_provider
from opentelemetry.trace import TracerProvider

import poolscope
from poolscope import facts, records
from poolscope.ledger import LONG_WAIT
from poolscope.ledger.unusual import unusual
from poolscope.ledger.urls import format_origin
from poolscope.otel_version import VariableError
from poolscope.queue import FACTS
from poolscope.signals import names
from poolscope.signals.events import Events
from poolscope.signals.finding_traces import FindingTraces
from poolscope.signals.hooks import RequestHook, ResponseHook
from poolscope.signals.metrics import SETTLE, Metrics
from poolscope.signals.options import DEFAULT_USED, EVERYTHING, NAMES, Options, settle
from poolscope.signals.redaction import excluding, excluding_servers
from poolscope.signals.spans import RequestSpans
from poolscope.signals.totals import Totals
from poolscope.story.door import ENTRANCE, SPANS

__all__ = ["Signals"]

LOOK_EVERY: Final = 32
"""Requests between two checks for a LoggerProvider."""
ASK_EVERY: Final = 16
"""Closed clients and connections, and failed requests, after which the rules are asked for their findings, unless
they were asked meanwhile.
"""


class Findings(Protocol):
    """The interface of `poolscope.findings`: takes records, returns findings."""

    failed: dict[str, str]
    """Codes of the rules that were switched off, and why."""

    def consume(self, record: records.Record) -> None:
        """Take the next record."""
        ...

    def needs(self, pid: int, client: int | None, origin: str) -> bool:
        """Whether an ordinary exchange of a client with a server can change the findings."""
        ...

    def found(self) -> list[records.Finding]:
        """The findings so far."""
        ...


class Signals:
    """Spans, metrics and events of this process, to the providers given or else the global ones.

    Raises ValueError for an ``excluded_urls`` that is not a comma-separated list of regular expressions,
    TypeError for a hook that cannot be called.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        excluded_urls: str | None = None,
        request_hook: RequestHook | None = None,
        response_hook: ResponseHook | None = None,
        findings: Findings | None = None,
        *,
        apart: bool = False,
        **settings: Any,
    ) -> None:
        """``apart``: make every request's span, and leave those that others make as they are.

        ``settings`` are those of `poolscope.signals.options`.
        """
        for name, hook in (("request_hook", request_hook), ("response_hook", response_hook)):
            if hook is not None and not callable(hook):
                raise TypeError(f"{name} is not callable: {hook!r}")
        for of, provider in (
            ("tracer", tracer_provider),
            ("meter", meter_provider),
            ("logger", logger_provider),
        ):
            if provider is not None and not callable(getattr(provider, f"get_{of}", None)):
                raise TypeError(f"{of}_provider is {provider!r}, which has no get_{of}()")
        unknown = set(settings) - set(NAMES)
        if unknown:
            raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
        chosen = settle(settings, EVERYTHING if apart else {})
        self.complaints = list(chosen.complaints)
        """Errors in the environment's settings."""
        try:
            excluded = excluding(excluded_urls)
        except VariableError as error:
            excluded = None
            self.complaints.append(f"{error}{DEFAULT_USED}")
        options = chosen.options
        self._findings = findings
        self.tell_progress: Callable[[float, float], None] | None = None
        """Makes the ledger report requests in progress, given the time and how many seconds they must have taken."""
        self._finding_traces = FindingTraces()
        self._reported: dict[tuple[Any, ...], int] = {}
        self._unasked = 0
        self._logger_provider = logger_provider
        self._ticks = 0
        self.totals, self.metrics = _instruments(meter_provider, options)
        self._events = Events(
            _logs.get_logger(
                names.SCOPE, poolscope.__version__, logger_provider, schema_url=names.SCHEMA_URL
            ),
            chosen.exceptions,
            options.events,
        )
        self.spans = RequestSpans(
            trace.get_tracer(
                names.SCOPE, poolscope.__version__, tracer_provider, schema_url=names.SCHEMA_URL
            ),
            tracer_provider is not None,
            excluded,
            request_hook,
            response_hook,
            self._tick,
            apart=apart,
            record=chosen.exceptions,
            options=options,
        )
        """The live path's door."""

    def __repr__(self) -> str:
        return f"<Signals {self.metrics!r}>"

    def start(self) -> None:
        """Listen to facts from now on."""
        self.metrics.events = self._events
        self.metrics.readings.live = True
        self.totals.begin()
        self.metrics.settle = self.settle
        FACTS.add_consumer(self.totals.consume)
        FACTS.at_fork = (*FACTS.at_fork, self._after_fork)
        FACTS.after_relief = (*FACTS.after_relief, self.metrics.publish)
        self._register_exit()

    def stop(self) -> None:
        """Pass on the rest and stop listening; sums stay readable, live facts are no longer reported."""
        self.settle()
        FACTS.remove_consumer(self.totals.consume)
        FACTS.at_fork = tuple(known for known in FACTS.at_fork if known != self._after_fork)
        FACTS.after_relief = tuple(known for known in FACTS.after_relief if known != self.metrics.publish)
        self.metrics.finish()
        if self.metrics.events is self._events:
            self.metrics.readings.live = False
            self.metrics.events = None
            self.metrics.settle = FACTS.settle
            self.totals.forget_live()
        atexit.unregister(self._last_facts)

    def take(self, record: records.Record) -> None:
        """Take one record of the process's ledger, at drain time."""
        self.totals.take(record)
        self._finding_traces.take(record)
        if self._findings is not None:
            self._find(self._findings, record)

    def needs(self, pid: int, exchange: facts.Exchange) -> bool:
        """Whether any rule needs the record of ``exchange``; nothing else here reads those."""
        findings = self._findings
        if findings is None:
            return False
        return unusual(exchange) or findings.needs(pid, exchange.client, format_origin(exchange.origin))

    def _find(self, findings: Findings, record: records.Record) -> None:
        findings.consume(record)
        if _may_tell_more(record):
            self._unasked += 1
            # Asking walks over all habits, so it is done less often if a program closes many things.
            if self._unasked >= ASK_EVERY:
                self._ask()

    def _ask(self) -> None:
        """Ask the rules for findings; only within the drain, where no other thread feeds them."""
        self._unasked = 0
        if self._findings is None:
            return
        for finding in self._findings.found():
            self._tell(finding)
        for code in self._findings.failed:
            self.totals.hooks_disabled[f"finding {code}"] = 1

    def _tell(self, finding: records.Finding) -> None:
        key = (finding.code, finding.origin, finding.call_site, finding.sdk_call_site)
        before = self._reported.get(key)
        # Once when it is recognised, then each time it has doubled: a finding is a habit, not an occurrence.
        if before is None or finding.count >= 2 * before:
            self._reported[key] = finding.count
            self.totals.found(finding, first=before is None, span=self._finding_traces.of(finding))

    def settle(self) -> None:
        """Drain, report requests that take long, and ask the rules."""
        if SPANS in self.totals.hooks_disabled:
            self.totals.hooks_disabled[SPANS] = int(ENTRANCE.patience.is_lost)
        with FACTS.settled(SETTLE) as settled:
            if settled and self.tell_progress is not None:
                self.tell_progress(facts.now(), LONG_WAIT)
            if settled and self._unasked:
                self._ask()

    def _tick(self) -> None:
        """At the start of each request, until there is a LoggerProvider: it may be set at any time."""
        # Most programs set their providers up before the first request; after that we check now and then,
        # because a check costs more than all the rest here.
        if self._ticks % LOOK_EVERY == 0:
            self._register_exit()
        self._ticks += 1

    def _register_exit(self) -> None:
        # Handlers run newest first: registered after the provider's own, ours still finds it open.
        provider = self._logger_provider or _logs.get_logger_provider()
        if not isinstance(provider, ProxyLoggerProvider):
            self.spans.tick = None
            atexit.register(self._last_facts)

    def _last_facts(self) -> None:
        self.settle()
        self.metrics.finish()

    def _after_fork(self) -> None:
        self.totals.reset()
        self.metrics.after_fork()
        self._reported.clear()
        self._finding_traces.forget()


def _may_tell_more(record: records.Record) -> bool:
    """Whether findings may come from this record."""
    if isinstance(record, records.Exchange):
        return record.error is not None or record.holders is not None
    return isinstance(record, records.Client | records.Connection) and record.closed_at is not None


class _Global:
    """Represents the global meter provider, now or later."""

    def __repr__(self) -> str:
        return "<the global meter provider>"


_GLOBAL: Final = _Global()
_made: Final[WeakKeyDictionary[Any, tuple[Totals, Metrics]]] = WeakKeyDictionary()


def _instruments(provider: MeterProvider | None, options: Options) -> tuple[Totals, Metrics]:
    """The instruments on ``provider``: one set however often we are switched on and off.

    The SDK keeps instruments for ever, so a second set would report everything twice, and a first set that fell
    silent would lose its last sums.
    """
    key = _GLOBAL if provider is None or provider is get_meter_provider() else provider
    made = _made.get(key)
    if made is None:
        totals = Totals()
        meter = get_meter(names.SCOPE, poolscope.__version__, provider, schema_url=names.SCHEMA_URL)
        made = _made[key] = (totals, Metrics(meter, totals, options))
    made[0].phases = options.metric_buckets == "all"
    made[0].limit, made[0].excludes = options.max_servers, excluding_servers(options.excluded_servers)
    return made
