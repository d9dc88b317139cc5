"""The trace that shows a finding: the latest in which a client from its line opened a connection."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from poolscope import records

KEPT: Final = 1_000
"""Clients and lines that are remembered; beyond it the oldest are forgotten."""

Site: TypeAlias = "tuple[records.CallSite | None, records.CallSite | None]"


class FindingTraces:
    """Remembers SpanContexts only."""

    def __init__(self) -> None:
        self._sites: dict[int, Site] = {}
        self._spans: dict[tuple[str, Site], Any] = {}

    def __repr__(self) -> str:
        return f"<FindingTraces {len(self._spans)} lines with a trace>"

    def take(self, record: records.Record) -> None:
        """Take one record of the process's ledger."""
        if isinstance(record, records.Client):
            _keep(self._sites, record.id, (record.call_site, record.sdk_call_site))
        elif isinstance(record, records.Connection) and record.span is not None and record.client is not None:
            site = self._sites.get(record.client)
            if site is not None and record.span.trace_flags.sampled:
                _keep(self._spans, (record.origin, site), record.span)

    def of(self, finding: records.Finding) -> Any:
        """The SpanContext of a setup that the finding is about; None where none is known."""
        if finding.origin is None:
            return None
        return self._spans.get((finding.origin, (finding.call_site, finding.sdk_call_site)))

    def forget(self) -> None:
        """In a forked child: the traces belong to the parent."""
        self._sites.clear()
        self._spans.clear()


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > KEPT:
        kept.pop(next(iter(kept)), None)
