"""The live path's door: makes a request's span and the spans below it, in the request's own task.

A request's span reaches from asking for a connection to the response headers (or the failure), with the
times the hooks took. Nothing here waits for the drain, and nothing is attached to the context: no code
below a hook of ours reads it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from poolscope.facts import Connection, Exchange, Failure, RawOrigin, now
from poolscope.ledger.urls import text
from poolscope.queue import FACTS, is_the_hosts
from poolscope.signals import errors, names
from poolscope.signals.describe import Attributes, exchange_facts, server_attributes, unconnected_facts
from poolscope.signals.hooks import RequestHook, ResponseHook, request_of, response_of
from poolscope.signals.options import ExceptionRecord, Options
from poolscope.signals.owner import Owner, find_owner, is_traced
from poolscope.signals.propagation import Propagation
from poolscope.signals.redaction import excluding_servers, method, url_full
from poolscope.signals.remembered import EXCLUDED, Foreign, Live, anchor_now
from poolscope.signals.setup_spans import SetupSpans
from poolscope.story.pool import name_of

log = logging.getLogger("poolscope")

BEGINNINGS: Final = 2_048
"""Methods and origins for which a span's beginning is kept."""
_DEFAULT: Final = Options()


class RequestSpans:
    """Implements `poolscope.story.door.Door`."""

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
        self._excludes_some = self._excludes is not None or excluded is not None
        self._request_hook = request_hook
        self._response_hook = response_hook
        self.tick = tick
        """Called at the start of each request."""
        self._propagation = Propagation()
        self._records_exceptions = record != "logs"
        self._complained: set[str] = set()

    def __repr__(self) -> str:
        return f"<RequestSpans by {self._tracer!r}>"

    def request_started(self, exchange: Exchange, request: Any) -> Sequence[tuple[str, str]] | None:
        """Make the request's span, or find its owner; returns propagation headers if it is ours."""
        tick = self.tick
        if tick is not None:
            tick()
        if self._excludes_some and self._is_excluded(exchange):
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

    def setup_ended(self, connection: Connection, exchange: Exchange | None) -> None:
        """Make the span of a setup, as a child of the request that waited for it, if that records."""
        live = None if exchange is None else exchange.live
        if exchange is None or live is None or live.span is None or connection.epoch != FACTS.epoch:
            return
        # urllib3's connection to a forwarding proxy serves every origin: this request waits for it.
        origin = exchange.origin if connection.via == "forward" else connection.origin
        connection.span = self._setups.setup(live.span, connection, live.anchor, origin)

    def headers_received(self, exchange: Exchange, response: Any) -> None:
        """Put the facts on the request's span, and end it if it is ours."""
        live: Live | None = exchange.live
        if live is None or live.span is None:
            return
        span, live.span = live.span, None
        if exchange.epoch != FACTS.epoch:
            live.request = None
            return  # a forked child carries on; the span is its parent's to end
        if not live.own:
            self._describe(span, live, exchange)
            return
        attributes = self._facts(span, live, exchange)
        status = exchange.status
        if status is not None:
            attributes[names.STATUS] = status
        if status is not None and status >= 400:
            attributes[names.ERROR_TYPE] = str(status)
            span.set_status(_ERROR)
        span.set_attributes(attributes)
        if self._response_hook is not None:
            request, live.request = live.request, None
            asked, answer = request_of(exchange, request), response_of(exchange, response)
            self._call("response_hook", self._response_hook, span, asked, answer)
        at = exchange.headers_at
        span.end(live.anchor + int((now() if at is None else at) * 1e9))

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
        if not live.own:
            self._describe(span, live, exchange, failure)
            return
        attributes = self._facts(span, live, exchange, failure)
        if failure is not None:
            attributes[names.ERROR_TYPE] = failure.type
            self._tell_failure(span, exchange, failure)
        span.set_attributes(attributes)
        at = exchange.finished_at
        span.end(live.anchor + int((now() if at is None else at) * 1e9))

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

    def _describe(self, span: Any, live: Live, exchange: Exchange, failure: Failure | None = None) -> None:
        """Put the facts on another package's span, which may cover several exchanges."""
        before = _exchanges_on(span)
        attributes = self._facts(span, live, exchange, failure, followed=before > 0)
        if live.described:
            if before or names.CONNECTION_ID not in attributes:
                attributes[names.EXCHANGES] = before + 1
            span.set_attributes(attributes)

    def _facts(
        self,
        span: Any,
        live: Live,
        exchange: Exchange,
        failure: Failure | None = None,
        *,
        followed: bool = False,
    ) -> Attributes:
        """The connection's facts for ``span``; also reports the wait and the link. ``followed``: it has others, perhaps with that link."""
        connection = exchange.connection
        if exchange.pool_wait and exchange.queued:
            in_vain = failure if connection is None and failure and failure.connection is None else None
            self._setups.wait(span, exchange, live.anchor, in_vain)
        if connection is None:
            attributes = unconnected_facts(exchange, failure)
        else:
            setup = connection.span
            if setup is not None and not setup.trace_flags.sampled:
                setup = None  # a sampler may drop it alone
            opener = connection.opened_by == exchange.id
            # Without a setup span, the connection's facts are on the span of its first request.
            lean = self._lean and (setup is not None or not opener)
            attributes = exchange_facts(exchange, connection, lean=lean)
            wanted = self._links and not opener and live.described
            if wanted and setup is not None and not (followed and _has_link(span, setup)):
                span.add_link(setup)
        name = name_of(exchange.pool)
        if name is not None:
            attributes[names.POOL_NAME] = name
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
    """How many exchanges another package's span covers so far; the id of a connection alone means one."""
    known = getattr(span, "attributes", None) or {}
    count: int = known.get(names.EXCHANGES) or names.CONNECTION_ID in known
    return count


def _has_link(span: Any, setup: SpanContext) -> bool:
    return any(link.context == setup for link in getattr(span, "links", None) or ())


_ERROR = Status(StatusCode.ERROR)
