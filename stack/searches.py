"""Searches in Jaeger, as data: shared by docs/jaeger.md, the page in Prometheus and the tests."""

import json
import urllib.parse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from poolscope.signals import names, table
from stack.programs import HEALTHY, SICK
from stack.running import ask

Span = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """One saved search. ``operation`` may be the start of a name; we compare it, as Jaeger matches whole names."""

    asks: str
    service: str
    tags: dict[str, str] = field(default_factory=dict)
    operation: str = ""

    def _words(self, limit: int) -> str:
        words = {"service": self.service, "lookback": "1h", "limit": str(limit)}
        if self.tags:
            words["tags"] = json.dumps(self.tags)
        return urllib.parse.urlencode(words)

    def page(self, jaeger: str) -> str:
        """Address of the search in Jaeger's page."""
        return f"{jaeger}/search?{self._words(200)}"

    def api(self, jaeger: str) -> str:
        """Address of the same traces as JSON."""
        return f"{jaeger}/api/traces?{self._words(1500)}"

    def fits(self, span: Span) -> bool:
        """Whether this span matches the search; Jaeger answers with all spans of its trace."""
        known = tags_of(span)
        return span["operationName"].startswith(self.operation) and all(
            str(known.get(name)).lower() == value.lower() for name, value in self.tags.items()
        )

    def found(self, jaeger: str) -> list[Span]:
        return [span for trace in ask(self.api(jaeger))["data"] for span in trace["spans"] if self.fits(span)]


SEARCHES = (
    Search("Which requests opened a connection?", SICK, {names.REUSED: "false"}),
    Search("The same, for the healthy service", HEALTHY, {names.REUSED: "false"}),
    Search("Which ones reused a connection?", HEALTHY, {names.REUSED: "true"}),
    Search("Who waited for the pool?", SICK, operation=table.SPANS["wait"].name.split("{")[0]),
    # Not by error=true, which Jaeger's memory store never finds: it compares a boolean with this word.
    Search(
        "Which setups were refused?",
        SICK,
        {names.ERROR_TYPE: "connection_refused"},
        operation=table.SPANS["setup"].name.split("{")[0],
    ),
)


def tags_of(span: Span) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def by_connection(spans: Iterable[Span]) -> Counter[int]:
    """Jaeger's trace statistics grouped by connection: how many requests each connection served."""
    results = [tags_of(span) for span in spans if names.REQUEST_NUMBER in tags_of(span)]
    return Counter(tags[names.CONNECTION_ID] for tags in results)
