"""Headers that tell the server whose child its span is, for requests whose span is ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry import baggage, propagate
from opentelemetry import context as otel_context
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import Span, SpanContext, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator


class Propagation:
    """Asks the global propagator, or does its work where it is exactly the default one."""

    def __init__(self) -> None:
        self._seen: Any = None
        self._plain = False

    def __repr__(self) -> str:
        return f"<Propagation {'W3C' if self._plain else self._seen!r}>"

    def headers(self, span: Span, context: SpanContext) -> Iterable[tuple[str, str]] | None:
        """What to add to a request whose span is ``span``."""
        # Any: the API's own default setter does not fit the parameter it is the default of.
        propagator: Any = propagate.get_global_textmap()
        if propagator is not self._seen:
            self._seen, self._plain = propagator, _is_plain(propagator)
        if not context.is_valid:
            return None
        # Formatting one header takes a tenth of what the propagator, its carrier and its context take.
        if self._plain and not (otel_context.get_current() and baggage.get_all()):
            header = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
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
