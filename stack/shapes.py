"""The parts of a dashboard: boards, rows, panels, and their queries to Prometheus."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lines", "stacked", "table", "number"]
Colour = Literal["green", "yellow", "red"]


@dataclass(frozen=True)
class Question:
    """One expression and the legend of its series."""

    expression: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True)
class Panel:
    """A title, a description of one sentence, a unit of Grafana's, and its questions."""

    title: str
    description: str
    unit: str
    questions: tuple[Question, ...]
    kind: Kind = "lines"
    base: Colour | None = None
    """The colour below every limit; None draws no limits."""
    limits: tuple[tuple[float, Colour], ...] = ()


@dataclass(frozen=True)
class Row:
    """Panels below one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard: its fixed uid, the values that its variables offer, its rows."""

    uid: str
    title: str
    variables: dict[str, str]
    rows: tuple[Row, ...]
    one_service: bool

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)


@dataclass(frozen=True)
class Scope:
    """The scope of a board: which series it takes, and which labels distinguish its lines."""

    servers: str
    """Selector of metrics that are split by server."""
    service: str
    """Selector of metrics that are split only by process."""
    by: str
    shown: str
    service_by: str
    service_shown: str

    def question(self, expression: str, *more: str, exemplars: bool = False) -> Question:
        return Question(expression, " ".join((self.shown, *more)), exemplars)

    def of_service(self, expression: str, *more: str) -> Question:
        return Question(expression, " ".join((self.service_shown, *more)))


def named(attribute: str) -> str:
    """A label's value in a legend."""
    return f"{{{{{attribute}}}}}"
