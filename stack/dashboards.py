"""Writes the dashboards of stack/queries.py as Grafana reads them, and as one page that Prometheus serves.

python -m stack.dashboards            write stack/grafana/dashboards/*.json and stack/prometheus/consoles
python -m stack.dashboards --check    say whether the files in the repository are what would be written
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from stack import pages
from stack.queries import BOARDS, Board, Panel

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards"
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
HEIGHT = 8
HALF = 12


def questions_of(panel: Panel) -> list[prometheus.Dataquery]:
    built = []
    for letter, question in zip("ABCD", panel.questions, strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(question.expression).legend_format(question.legend)
        query = query.datasource(PROMETHEUS)
        if panel.kind == "table":
            query = query.instant().format(PromQueryFormat.TABLE)
        elif panel.kind == "number":
            query = query.instant()
        else:
            query = query.range().exemplar(question.exemplars)
        built.append(query)
    return built


def lines(panel: Panel) -> timeseries.Panel:
    drawn = timeseries.Panel().fill_opacity(20 if panel.kind == "stacked" else 0).line_width(2).min(0)
    if panel.kind == "stacked":
        drawn = drawn.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.limits:
        steps = [Threshold(value=None, color="green")]
        steps += [Threshold(value=limit, color="red") for limit in panel.limits]
        drawn = drawn.thresholds(dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE)
        drawn = drawn.thresholds_style(style)
    return drawn


def drawn_panel(panel: Panel, place: int) -> Any:
    drawn: Any = (
        table.Panel() if panel.kind == "table" else stat.Panel() if panel.kind == "number" else lines(panel)
    )
    drawn = drawn.id(place + 1).title(panel.title).description(panel.tells).unit(panel.unit)
    drawn = drawn.datasource(PROMETHEUS).height(HEIGHT).span(HALF)
    for query in questions_of(panel):
        drawn = drawn.with_target(query)
    return drawn


def variable(name: str, query: str, single: bool) -> dashboards.QueryVariable:
    asked = dashboards.QueryVariable(name).label(name).datasource(PROMETHEUS).query(query)
    asked = asked.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return asked if single else asked.multi(True).include_all(True).all_value(".*")


def document(board: Board) -> str:
    """The board as the JSON that is kept in the repository."""
    built = dashboards.Dashboard(board.title).uid(board.uid).tags(["poolscope"]).refresh("10s")
    built = built.time("now-15m", "now").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    for name, query in board.variables.items():
        # One service's panels compare with =, so that variable has one value.
        single = name == "service" and "instance" in board.variables
        built = built.with_variable(variable(name, query, single))
    for place, panel in enumerate(board.panels):
        built = built.with_panel(drawn_panel(panel, place))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def documents() -> dict[Path, str]:
    """Every generated file with its text."""
    return {
        **{FOLDER / f"{board.uid}.json": document(board) for board in BOARDS},
        pages.PATH: pages.document(),
    }


def disagreements() -> list[str]:
    """The files that are not what would be written, or that nobody writes."""
    wanted = documents()
    there = {*FOLDER.glob("*.json"), *pages.PATH.parent.glob("*")}
    wrong = [
        path for path, text in wanted.items() if path not in there or path.read_text(encoding="utf-8") != text
    ]
    return sorted(path.name for path in [*wrong, *(there - set(wanted))])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.dashboards", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 if a file would change"
    )
    options = parser.parse_args()
    if options.check:
        wrong = disagreements()
        for name in wrong:
            print(f"{name} is not what the generator writes: run python -m stack.dashboards", file=sys.stderr)
        return 1 if wrong else 0
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
