"""The door that OpenTelemetry's own tools open: ``opentelemetry-instrument python app.py``."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

__all__ = ["Configuration", "PoolscopeInstrumentor"]


@dataclass
class Configuration:
    """What a declarative configuration file (``OTEL_CONFIG_FILE``) may say about poolscope."""

    excluded_urls: str | None = None
    """Comma-separated regular expressions; requests whose URL one of them finds get no span and no metric."""


class PoolscopeInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """`poolscope.instrument` in the shape that OpenTelemetry's loaders expect; takes the same options."""

    configuration = Configuration

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: a library that is not installed is simply not observed."""
        return ()

    def _instrument(self, **options: Any) -> None:
        # What is raised here keeps the loader from instrumenting the packages that come after us.
        try:
            import poolscope

            poolscope.instrument(**options)
        except Exception as error:
            sys.stderr.write(f"poolscope: not instrumented: {type(error).__name__}: {str(error)!r}\n")

    def _uninstrument(self, **_: Any) -> None:
        import poolscope

        poolscope.uninstrument()
