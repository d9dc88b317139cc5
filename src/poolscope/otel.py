"""The door that OpenTelemetry's own tools open: ``opentelemetry-instrument python app.py``."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

import poolscope

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
        poolscope.instrument(**options)

    def _uninstrument(self, **_: Any) -> None:
        poolscope.uninstrument()
