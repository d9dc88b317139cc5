"""Sends a panel's queries to Prometheus as Grafana does: over time with a step, or for one moment."""

import math
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from stack.queries import Asking
from stack.running import CannotRunError, ask
from stack.shapes import Panel, Question

POINTS = 240
"""How many points fit into a panel."""
EXPORTS = 8
"""How many exports a range must hold for a useful picture: two windows of four."""


@dataclass(frozen=True)
class Series:
    """A line of a panel: its name in the legend, and its points as (time, value)."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


def called(legend: str, labels: dict[str, str]) -> str:
    """The legend's text with the series' labels filled in; an absent label is empty."""
    text = re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
    return " ".join(text.split())


def _asked(prometheus: str, path: str, words: dict[str, Any]) -> list[dict[str, Any]]:
    found = ask(f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(words)}")
    result: list[dict[str, Any]] = found["data"]["result"]
    return result


def at_once(prometheus: str, question: Question, asking: Asking, at: float) -> list[Series]:
    """The values of a table or a number."""
    results = _asked(prometheus, "query", {"query": asking.fill_in(question.expression), "time": at})
    return [
        Series(called(question.legend, each["metric"]), ((at, float(each["value"][1])),)) for each in results
    ]


def over_time(prometheus: str, question: Question, asking: Asking, start: float, end: float) -> list[Series]:
    """The lines of a graph."""
    # Grafana moves both ends to multiples of the step, so that a reload draws the same points.
    start, end = (math.floor(at / asking.step) * asking.step for at in (start, end))
    words = {"query": asking.fill_in(question.expression), "start": start, "end": end, "step": asking.step}
    return [
        Series(
            called(question.legend, each["metric"]), tuple((at, float(value)) for at, value in each["values"])
        )
        for each in _asked(prometheus, "query_range", words)
    ]


def fitting(export: float, seconds: float) -> Asking:
    """The step and the windows for a range of this length; CannotRunError if it holds too few exports."""
    if seconds < EXPORTS * export:
        raise CannotRunError(
            f"{seconds:g} s hold {int(seconds // export)} exports at {export:g} s: ask for {EXPORTS * export:g} s at least"
        )
    return Asking(export=export, step=max(export, math.ceil(seconds / POINTS)), range=seconds)


def series(prometheus: str, panel: Panel, asking: Asking, end: float) -> list[Series]:
    """Everything that one panel shows at `end`."""
    found: list[Series] = []
    for question in panel.questions:
        if panel.kind in ("table", "number"):
            found += at_once(prometheus, question, asking, end)
        else:
            found += over_time(prometheus, question, asking, end - asking.range, end)
    return found
