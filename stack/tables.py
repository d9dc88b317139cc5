"""Asks Prometheus every query of a dashboard and Jaeger every saved search; prints the answers as Markdown.

python -m stack.tables http://127.0.0.1:9090 --jaeger http://127.0.0.1:16686
"""

import argparse
import sys
import time
import urllib.parse
from collections.abc import Iterator
from functools import partial
from typing import Any

from stack.boards import BOARDS
from stack.panels import at_once
from stack.programs import HEALTHY, SICK
from stack.queries import Asking
from stack.running import ask, interval
from stack.searches import SEARCHES, Span, by_connection, tags_of
from stack.shapes import Panel


def answers(prometheus: str, panel: Panel, asking: Asking) -> list[str]:
    """Each series as `name value`, the largest first."""
    now = time.time()
    series = [each for question in panel.questions for each in at_once(prometheus, question, asking, now)]
    series.sort(key=lambda each: (-each.last, each.name))
    return [f"{each.name} {each.last:.4g}" for each in series]


def of_panels(prometheus: str, export: float) -> Iterator[str]:
    yield "| panel | unit | series and values |\n|---|---|---|"
    asking = Asking(export=export, step=export)
    # Both dashboards have the same panels; the first compares the services.
    for panel in BOARDS[0].panels:
        series = answers(prometheus, panel, asking)
        yield f"| {panel.title} | {panel.unit} | {'<br>'.join(series) or 'nothing'} |"


def of_searches(jaeger: str) -> Iterator[str]:
    yield "| question | service | search | spans found | in traces |\n|---|---|---|---|---|"
    for search in SEARCHES:
        words = [f"`{name}={value}`" for name, value in search.tags.items()]
        words += [f"operation `{search.operation}…`"] if search.operation else []
        spans = search.found(jaeger)
        traces = {span["traceID"] for span in spans}
        yield f"| {search.asks} | {search.service} | {', '.join(words)} | {len(spans)} | {len(traces)} |"


def of_connections(jaeger: str) -> Iterator[str]:
    yield "| service | requests | connections | requests on the busiest |\n|---|---|---|---|"
    for service in (HEALTHY, SICK):
        found = ask(f"{jaeger}/api/traces?service={service}&limit=3000&lookback=1h")["data"]
        served = by_connection(span for trace in found for span in trace["spans"])
        yield f"| {service} | {sum(served.values())} | {len(served)} | {max(served.values(), default=0)} |"


def waterfall(trace: dict[str, Any]) -> Iterator[str]:
    """The trace as Jaeger draws it: each span below its parent, with its start and length in ms."""
    began = min(span["startTime"] for span in trace["spans"])
    parts: dict[str, list[Span]] = {}
    known = {span["spanID"] for span in trace["spans"]}
    for span in sorted(trace["spans"], key=lambda span: span["startTime"]):
        above = [each["spanID"] for each in span["references"] if each["refType"] == "CHILD_OF"]
        parts.setdefault(above[0] if above and above[0] in known else "", []).append(span)

    def below(parent: str, depth: int) -> Iterator[str]:
        for span in parts.get(parent, ()):
            start, length = (span["startTime"] - began) / 1000, span["duration"] / 1000
            number = tags_of(span).get("poolscope.connection.id")
            called = span["operationName"] + (f"  (connection {number})" if number is not None else "")
            yield f"{'  ' * depth + called:<58} {start:7.1f} ms +{length:.1f} ms"
            yield from below(span["spanID"], depth + 1)

    yield from below("", 0)


def of_one_trace(jaeger: str) -> Iterator[str]:
    """The newest request of the sick service that builds a client."""
    operation = urllib.parse.quote("GET /client-per-request")
    found = ask(f"{jaeger}/api/traces?service={SICK}&operation={operation}&limit=1&lookback=1h")["data"]
    yield "```"
    for trace in found:
        yield from waterfall(trace)
    yield "```"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.tables", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("prometheus", metavar="URL")
    parser.add_argument("--jaeger", metavar="URL")
    parser.add_argument(
        "--export", type=interval, default=60.0, help="seconds between two exports of metrics (60)"
    )
    options = parser.parse_args()
    asked = [(partial(of_panels, export=options.export), options.prometheus)]
    if options.jaeger:
        asked += [(partial(table), options.jaeger) for table in (of_searches, of_connections, of_one_trace)]
    for table, url in asked:
        try:
            print("\n".join(table(url)), end="\n\n")
        except (OSError, ValueError) as error:
            print(f"no answer from {url}: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
