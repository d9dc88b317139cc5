"""Writes the dashboards of stack/boards.py as Grafana reads them, and as one page that Prometheus serves.

python -m stack.dashboards            write stack/grafana/dashboards/*.json and stack/prometheus/consoles
python -m stack.dashboards --check    report whether the files in the repository are up to date
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from stack import links, pages
from stack.boards import BOARDS
from stack.rows import FINDINGS
from stack.shapes import Board, Panel

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards"
# A variable, not a name: other people's data sources have other names.
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
EXPORTS = ("60s", "30s", "15s", "10s", "5s", "2s")
"""The export intervals to choose from; the first is the SDK's default."""
HEIGHT = 8
THIRD = 8


def questions_of(panel: Panel) -> Iterator[prometheus.Dataquery]:
    for letter, question in zip("ABCD", panel.questions, strict=False):
        query = prometheus.Dataquery().ref_id(letter).expr(question.expression).legend_format(question.legend)
        # Grafana derives `$__rate_interval` from it, so that every window holds four exports.
        query = query.datasource(PROMETHEUS).interval("$export")
        if panel.kind == "table":
            yield query.instant().format(PromQueryFormat.TABLE)
        elif panel.kind == "number":
            yield query.instant()
        else:
            yield query.range().exemplar(question.exemplars)


def lines(panel: Panel) -> timeseries.Panel:
    drawn = timeseries.Panel().fill_opacity(20 if panel.kind == "stacked" else 0).line_width(2).min(0)
    if panel.kind == "stacked":
        drawn = drawn.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    if panel.base:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        drawn = drawn.thresholds_style(style)
    return drawn


def thresholds(panel: Panel) -> dashboards.ThresholdsConfig:
    steps = [Threshold(value=None, color=panel.base or "green")]
    steps += [Threshold(value=limit, color=colour) for limit, colour in panel.limits]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def link(place: links.Link) -> dashboards.DashboardLink:
    return dashboards.DashboardLink(place.title).type(DashboardLinkType.LINK).url(place.url)


def drawn_panel(panel: Panel, number: int, board: Board) -> Any:
    drawn: Any = (
        table.Panel() if panel.kind == "table" else stat.Panel() if panel.kind == "number" else lines(panel)
    )
    drawn = drawn.id(number).title(panel.title).description(panel.description).unit(panel.unit)
    drawn = drawn.datasource(PROMETHEUS).height(HEIGHT).span(THIRD).thresholds(thresholds(panel))
    if panel.title == FINDINGS:
        drawn = drawn.data_links([link(links.FINDING)])
    elif panel.kind == "lines" and not board.one_service:
        drawn = drawn.data_links([link(links.ONE_SERVICE), link(links.TRACES_OF_LINE)])
    for query in questions_of(panel):
        drawn = drawn.with_target(query)
    return drawn


def chosen(value: str, text: str | None = None) -> VariableOption:
    return VariableOption(selected=True, text=text or value, value=value)


def question_variable(name: str, query: str, *, single: bool) -> dashboards.QueryVariable:
    asked = dashboards.QueryVariable(name).label(name).datasource(PROMETHEUS).query(query)
    asked = asked.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    if name == "service":
        asked = asked.regex(links.NAME_IN_JOB)
    if single:
        return asked
    # `.*`, not a list of all values: it also matches series without the label.
    return asked.multi(True).include_all(True).all_value(".*").current(chosen("$__all", "All"))


def variables(board: Board) -> Iterator[Any]:
    yield dashboards.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    for name, query in board.variables.items():
        # The panels of one service compare with =, so the variable has one value.
        yield question_variable(name, query, single=name == "service" and board.one_service)
    yield (
        dashboards.CustomVariable("export")
        .label("metrics are exported every")
        .values(",".join(EXPORTS))
        .current(chosen(EXPORTS[0]))
    )
    for name, address in links.ADDRESSES.items():
        text = f"address of {name}"
        yield dashboards.TextBoxVariable(name).label(text).default_value(address).current(chosen(address))


def document(board: Board) -> str:
    """The board as the JSON in the repository."""
    built = dashboards.Dashboard(board.title).uid(board.uid).tags(["poolscope"]).refresh("30s")
    built = built.time("now-1h", "now").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    others = dashboards.DashboardLink("poolscope").type(DashboardLinkType.DASHBOARDS).tags(["poolscope"])
    built = built.link(others.include_vars(True).keep_time(True))
    for place in links.OF_ONE_SERVICE if board.one_service else links.OF_ALL:
        built = built.link(link(place).target_blank(True))
    for variable in variables(board):
        built = built.with_variable(variable)
    number = 0
    for row in board.rows:
        number += 1
        built = built.with_row(dashboards.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            built = built.with_panel(drawn_panel(panel, number, board))
    return JSONEncoder(sort_keys=True, indent=2).encode(built.build()) + "\n"


def documents() -> dict[Path, str]:
    """Every generated file with its text."""
    return {
        **{FOLDER / f"{board.uid}.json": document(board) for board in BOARDS},
        pages.PATH: pages.document(),
    }


def disagreements() -> list[str]:
    """The files that are out of date, or that nothing generates."""
    wanted = documents()
    there = {*FOLDER.glob("*.json"), *pages.PATH.parent.glob(pages.PATH.name)}
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
