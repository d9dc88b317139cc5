"""The entry point for OpenTelemetry's own tools: ``opentelemetry-instrument python app.py``."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

__all__ = ["Configuration", "PoolscopeInstrumentor"]


@dataclass
class Configuration:
    """poolscope's settings in a declarative configuration file (``OTEL_CONFIG_FILE``)."""

    excluded_urls: str | None = None
    """Comma-separated regular expressions; a request with a matching URL gets no span and no metric."""
    setup_spans: str | None = None
    """``full``, ``some``, ``errors`` or ``off``."""
    span_facts: str | None = None
    """``lean`` or ``full``."""
    span_links: bool | None = None
    """Whether a request that reuses a connection links to the span of its setup."""
    span_names: str | None = None
    """``short`` or ``dotnet``."""
    events: str | None = None
    """``all``, ``problems`` or ``off``."""
    metric_buckets: str | None = None
    """``few`` or ``all``."""
    max_servers: int | None = None
    """How many servers the metrics distinguish."""
    excluded_servers: str | None = None
    """Comma-separated patterns of servers without spans, events and series of their own."""


class PoolscopeInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """`poolscope.instrument` in the shape that OpenTelemetry's loaders expect; takes the same options."""

    configuration = Configuration

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: a library that is not installed is simply not observed."""
        return ()

    def _instrument(self, **options: Any) -> None:
        # An exception here would keep the loader from instrumenting the packages that come after poolscope.
        try:
            import poolscope
            from poolscope.signals.options import sane

            right, complaints = sane(options)
            for complaint in complaints:
                sys.stderr.write(f"poolscope: {complaint}\n")
            poolscope.instrument(**right)
        except Exception as error:
            sys.stderr.write(f"poolscope: not instrumented: {type(error).__name__}: {str(error)!r}\n")

    def _uninstrument(self, **_: Any) -> None:
        import poolscope

        poolscope.uninstrument()
