"""Chooses the measurements with an exemplar, which leads from a value of a histogram to its trace."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, set_span_in_context

from poolscope.signals.sums import Series

FILTER: Final = "OTEL_METRICS_EXEMPLAR_FILTER"

_EMPTY: Final = set_span_in_context(INVALID_SPAN, Context())
"""Not simply `Context()`: the SDK takes a context without content for none given."""


def context_of(span: Any) -> Context:
    """The context of a measurement: the exchange's span, not the span of the thread that drains."""
    if span is None or not span.trace_flags.sampled:
        return _EMPTY
    return set_span_in_context(NonRecordingSpan(span), _EMPTY)


class Exemplars:
    """Gives each bucket of each series one exemplar a collection.

    The SDK exports one a bucket, and keeping a measurement for it costs a fifth of recording it.
    """

    def __init__(self, buckets: Sequence[float]) -> None:
        self._buckets = buckets
        self._collection = 0
        # Every measurement is one then, also those that say nothing of their trace.
        self._every = os.environ.get(FILTER, "").strip().lower() == "always_on"

    def __repr__(self) -> str:
        return f"<Exemplars of {len(self._buckets) + 1} buckets>"

    def renew(self) -> None:
        """A collection takes those that there are."""
        self._collection += 1

    def context(self, value: float, series: Series, span: Any) -> Context:
        """The context to record a duration of ``series`` in."""
        if span is None or not span.trace_flags.sampled:
            return _EMPTY
        if series.collection != self._collection:
            series.collection = self._collection
            series.shown.clear()
        bucket = bisect_left(self._buckets, value)
        if bucket in series.shown and not self._every:
            return _EMPTY
        series.shown.add(bucket)
        return context_of(span)
