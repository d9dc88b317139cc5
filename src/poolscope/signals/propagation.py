"""Propagation headers for requests with a span of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import Span, SpanContext, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


class Propagation:
    """Calls the global propagator, or does its work itself if it is exactly the default one."""

    def __init__(self) -> None:
        self._seen: Any = None
        self._plain = False

    def __repr__(self) -> str:
        return f"<Propagation {'W3C' if self._plain else self._seen!r}>"

    def headers(self, span: Span, context: SpanContext, current: Context) -> Sequence[tuple[str, str]] | None:
        """The headers to add to a request with this span, sent in the context ``current``."""
        # Any: the API's own default setter does not fit the parameter it is the default of.
        propagator: Any = propagate.get_global_textmap()
        if propagator is not self._seen:
            self._seen, self._plain = propagator, _is_plain(propagator)
        if not context.is_valid:
            return None
        # Formatting one header takes a tenth of what the propagator, its carrier and its context take.
        if self._plain and not (current and baggage.get_all(current)):
            trace, span_id, flags = context.trace_id, context.span_id, context.trace_flags
            header = "00-%032x-%016x-%02x" % (trace, span_id, flags)  # noqa: UP031  (half of what an f-string takes)
            if context.trace_state:
                return (("traceparent", header), ("tracestate", context.trace_state.to_header()))
            return (("traceparent", header),)
        carrier: dict[str, str] = {}
        propagator.inject(carrier, context=set_span_in_context(span))
        return tuple(carrier.items())


def _is_plain(propagator: Any) -> bool:
    if type(propagator) is TraceContextTextMapPropagator:
        return True
    if type(propagator) is not CompositePropagator:
        return False
    kinds = [type(part) for part in getattr(propagator, "_propagators", ())]
    return kinds in (
        [TraceContextTextMapPropagator],
        [TraceContextTextMapPropagator, W3CBaggagePropagator],
    )
