"""The entry point for OpenTelemetry's own tools: ``opentelemetry-instrument python app.py``.

It has no ``configuration`` class for the fields of a declarative file: with such a class, one unknown field makes
OpenTelemetry print a traceback and drop the others.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from inspect import signature
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

__all__ = ["PoolscopeInstrumentor"]


class PoolscopeInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """`poolscope.instrument` in the shape that OpenTelemetry's loaders expect; takes the same options."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: a library that is not installed is simply not observed."""
        return ()

    def _instrument(self, **options: Any) -> None:
        # An exception here would keep the loader from instrumenting the packages that come after poolscope.
        try:
            import poolscope
            from poolscope.signals.options import sane

            right, complaints = sane(options, signature(poolscope.instrument).parameters)
            for complaint in complaints:
                sys.stderr.write(f"poolscope: {complaint}\n")
            poolscope.instrument(**right)
        except Exception as error:
            sys.stderr.write(f"poolscope: not instrumented: {type(error).__name__}: {str(error)!r}\n")

    def _uninstrument(self, **_: Any) -> None:
        import poolscope

        poolscope.uninstrument()
