"""The live path's door: makes a request's span and the spans below it, in the request's own task.

A request's span reaches from asking for a connection to the response headers (or the failure), with the
times the hooks took. Nothing here waits for the drain, and nothing is attached to the context: no code
below a hook of ours reads it.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from poolscope.facts import Connection, Exchange, Failure, RawOrigin, now
from poolscope.ledger.urls import text
from poolscope.queue import FACTS, is_the_hosts
from poolscope.signals import errors, names
from poolscope.signals.describe import Attributes, exchange_facts, server_attributes
from poolscope.signals.forgiving import Patience
from poolscope.signals.hooks import RequestHook, ResponseHook, request_of, response_of
from poolscope.signals.options import ExceptionRecord, Options
from poolscope.signals.owner import Owner, find_owner, is_traced
from poolscope.signals.pools import called
from poolscope.signals.propagation import Propagation
from poolscope.signals.redaction import excluding_servers, method, url_full
from poolscope.signals.remembered import EXCLUDED, Foreign, Live, anchor_now
from poolscope.signals.setup_spans import SetupSpans
from poolscope.story.pool import name_of

log = logging.getLogger("poolscope")

SPANS: Final = "signals.spans"
"""Their name among the hooks."""
BEGINNINGS: Final = 2_048
"""Methods and origins for which a span's beginning is kept."""
_DEFAULT: Final = Options()


_F = TypeVar("_F", bound=Callable[..., Any])


def _harmless(method_: _F) -> _F:
    """A tracer that raises must not disable the hook that called us: its facts are still true."""

    @functools.wraps(method_)
    def guarded(self: RequestSpans, one: Any, other: Any) -> Any:
        patience = self.patience
        if patience.recent and patience.is_lost:
            return None
        try:
            return method_(self, one, other)
        except Exception as error:
            if is_the_hosts(error):
                raise
            patience.failed(error)
            return None

    return cast(_F, guarded)


class RequestSpans:
    """Implements `poolscope.story.door.Door`. After three failures within a minute it makes no spans for a while."""

    def __init__(
        self,
        tracer: Tracer,
        explicit: bool,
        excluded: re.Pattern[str] | None = None,
        request_hook: RequestHook | None = None,
        response_hook: ResponseHook | None = None,
        tick: Callable[[], None] | None = None,
        *,
        apart: bool = False,
        record: ExceptionRecord = "span",
        options: Options = _DEFAULT,
    ) -> None:
        self._tracer = tracer
        self._setups = SetupSpans(tracer, options)
        self._links = options.span_links
        self._lean = options.span_facts == "lean"
        self._excludes = excluding_servers(options.excluded_servers)
        self._beginnings: dict[tuple[Any, RawOrigin], tuple[str, Attributes]] = {}
        """Names and first attributes of spans, by method and origin."""
        self._apart = apart
        self._there = explicit
        self._excluded = excluded
        self._request_hook = request_hook
        self._response_hook = response_hook
        self._tick = tick
        self._propagation = Propagation()
        self._records_exceptions = record != "logs"
        self._complained: set[str] = set()
        self.patience = Patience(SPANS)

    def __repr__(self) -> str:
        return f"<RequestSpans by {self._tracer!r}>"

    def request_started(self, exchange: Exchange, request: Any) -> Iterable[tuple[str, str]] | None:
        """Make the request's span, or find its owner; returns propagation headers if it is ours."""
        if self._tick is not None:
            self._tick()
        return self._request_started(exchange, request)

    @_harmless
    def _request_started(self, exchange: Exchange, request: Any) -> Iterable[tuple[str, str]] | None:
        if self._is_excluded(exchange):
            exchange.live = EXCLUDED
            return None
        if not self._there and not self._look_for_provider():
            return None
        current = otel_context.get_current()
        # In an empty context there is no span, and nothing that anybody suppressed.
        if current and not self._apart:
            above = trace.get_current_span(current)
            owner = find_owner(above, exchange, request)
            if owner is not None:
                self._leaves_to(owner, above, exchange)
                return None
        anchor = anchor_now()
        span = self._start(exchange, anchor, current)
        exchange.span = context = span.get_span_context()
        if span.is_recording():
            exchange.live = live = Live(anchor, span)
            if self._request_hook is not None:
                self._call("request_hook", self._request_hook, span, request_of(exchange, request))
            if self._response_hook is not None:
                live.request = request
        if self._apart and is_traced(request):
            return None
        return self._propagation.headers(span, context, current)

    def _is_excluded(self, exchange: Exchange) -> bool:
        if self._excludes is not None and self._excludes(exchange.origin):
            return True
        if self._excluded is None:
            return False
        return self._excluded.search(url_full(exchange.origin, exchange.target)) is not None

    @staticmethod
    def _leaves_to(owner: Owner, above: Span, exchange: Exchange) -> None:
        exchange.live = Foreign(anchor_now(), owner)
        exchange.span = (above if owner.span is None else owner.span).get_span_context()

    @_harmless
    def setup_ended(self, connection: Connection, exchange: Exchange | None) -> None:
        """Make the span of a setup, as a child of the request that waited for it, if that records."""
        live = None if exchange is None else exchange.live
        if exchange is None or live is None or live.span is None or connection.epoch != FACTS.epoch:
            return
        # urllib3's connection to a forwarding proxy serves every origin: this request waits for it.
        origin = exchange.origin if connection.via == "forward" else connection.origin
        connection.span = self._setups.setup(live.span, connection, live.anchor, origin)

    @_harmless
    def headers_received(self, exchange: Exchange, response: Any) -> None:
        """Put the facts on the request's span, and end it if it is ours."""
        live: Live | None = exchange.live
        if live is None or live.span is None:
            return
        span, live.span = live.span, None
        request, live.request = live.request, None
        if exchange.epoch != FACTS.epoch:
            return  # a forked child carries on; the span is its parent's to end
        attributes = self._facts(span, live, exchange)
        if not live.own:
            if attributes:
                span.set_attributes(attributes)
            return
        status = exchange.status
        if status is not None:
            attributes[names.STATUS] = status
            if status >= 400:
                attributes[names.ERROR_TYPE] = str(status)
        span.set_attributes(attributes)
        if status is not None and status >= 400:
            span.set_status(_ERROR)
        if self._response_hook is not None:
            asked, answer = request_of(exchange, request), response_of(exchange, response)
            self._call("response_hook", self._response_hook, span, asked, answer)
        at = exchange.headers_at
        span.end(end_time=live.anchor + int((now() if at is None else at) * 1e9))

    @_harmless
    def request_failed(self, exchange: Exchange, _error: BaseException) -> None:
        """End the request's span with the error, unless the caller cancelled."""
        live: Live | None = exchange.live
        if live is None or live.span is None:
            return
        span, live.span = live.span, None
        live.request = None
        if exchange.epoch != FACTS.epoch:
            return
        failure = exchange.failure
        attributes = self._facts(span, live, exchange, failure)
        if not live.own:
            if attributes:
                span.set_attributes(attributes)
            return
        if failure is not None:
            attributes[names.ERROR_TYPE] = failure.type
            self._tell_failure(span, exchange, failure)
        span.set_attributes(attributes)
        at = exchange.finished_at
        span.end(end_time=live.anchor + int((now() if at is None else at) * 1e9))

    def _tell_failure(self, span: Span, exchange: Exchange, failure: Failure) -> None:
        said = errors.sentence(failure, exchange.origin)
        span.set_status(Status(StatusCode.ERROR, said))
        if self._records_exceptions:
            about = {names.EXCEPTION_TYPE: exchange.error or failure.type, names.EXCEPTION_MESSAGE: said}
            span.add_event("exception", about)

    def _look_for_provider(self) -> bool:
        """Without an SDK nobody would see a span; one may be configured at any time."""
        self._there = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        return self._there

    def _start(self, exchange: Exchange, anchor: int, current: Context) -> Span:
        name, known = self._beginnings.get((exchange.method, exchange.origin)) or self._beginning(exchange)
        attributes = known.copy()
        attributes[names.URL_FULL] = url_full(exchange.origin, exchange.target)
        if exchange.resends:
            attributes[names.RESEND_COUNT] = exchange.resends
        return self._tracer.start_span(
            name,
            context=current,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=anchor + int(exchange.started_at * 1e9),
        )

    def _beginning(self, exchange: Exchange) -> tuple[str, Attributes]:
        """Name and first attributes of a span for a request with this method to this origin."""
        name = method(exchange.method)
        attributes: Attributes = {names.METHOD: name, **server_attributes(exchange.origin)}
        if name == "_OTHER":
            attributes[names.METHOD_ORIGINAL] = text(exchange.method) or ""
            name = "HTTP"
        if len(self._beginnings) >= BEGINNINGS:
            self._beginnings.clear()
        self._beginnings[exchange.method, exchange.origin] = name, attributes
        return name, attributes

    def _facts(
        self,
        span: Any,
        live: Live,
        exchange: Exchange,
        failure: Failure | None = None,
    ) -> Attributes:
        """The connection's facts for ``span``; also reports the wait and the link."""
        connection = exchange.connection
        waited = exchange.pool_wait
        if waited and exchange.queued:
            in_vain = failure if connection is None and failure and failure.connection is None else None
            self._setups.wait(span, exchange, live.anchor, in_vain)
        if not live.described:
            return {}
        attributes: Attributes = {}
        before = 0 if live.own else _exchanges_on(span)
        if connection is not None:
            opener = connection.opened_by == exchange.id
            setup = connection.span
            # Without a setup span, the connection's facts are on the span of its first request.
            lean = self._lean and (setup is not None or not opener)
            attributes = exchange_facts(exchange, connection, lean=lean)
            linked = self._links and not opener and setup is not None and setup.trace_flags.sampled
            if setup is not None and linked and not (before and _has_link(span, setup)):
                span.add_link(setup)
        else:
            if waited is not None:
                attributes[names.WAIT_TIME] = waited
            if failure is not None and failure.connection is not None:
                attributes[names.CONNECTION_ID] = failure.connection
        attributes.update(called(name_of(exchange.pool)))
        if not live.own:
            attributes[names.EXCHANGES] = before + 1
        return attributes

    def _call(self, name: str, hook: Callable[..., None], *args: Any) -> None:
        try:
            hook(*args)
        except Exception as error:
            if is_the_hosts(error):
                raise
            if name not in self._complained:
                self._complained.add(name)
                log.warning("%s raised; the request goes on (reported once)", name, exc_info=True)


def _exchanges_on(span: Any) -> int:
    """How many exchanges a span of somebody else's has been described with: it may cover several."""
    count: int = (getattr(span, "attributes", None) or {}).get(names.EXCHANGES, 0)
    return count


def _has_link(span: Any, setup: SpanContext) -> bool:
    return any(link.context == setup for link in getattr(span, "links", None) or ())


_ERROR = Status(StatusCode.ERROR)
