"""Draws every panel of the dashboards from a Prometheus's answers, as Grafana would: one picture per panel.

python -m stack.pictures http://127.0.0.1:9090 --export 2 --minutes 5 --to build/panels
"""

import argparse
import math
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from stack.boards import BOARDS, REQUESTS
from stack.panels import Series, fitting, series
from stack.queries import Asking
from stack.running import CannotRunError, ask, interval
from stack.shapes import Board, Panel

SIZE = (6.0, 3.2)
COLOURS = {"green": "#1a7f37", "yellow": "#d4a017", "red": "#b3261e"}
INK, PAPER = "#1d2430", "#ffffff"


def number_text(value: float, unit: str) -> str:
    """A value with its unit, as short as Grafana writes it."""
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < abs(value) < 1 else f"{value:.3g} s"
    return f"{value:.4g}" if unit == "short" else f"{value:.4g} /s"


def _as_rows(axes: Axes, panel: Panel, found: list[Series]) -> None:
    axes.set_axis_off()
    rows = sorted(found, key=lambda each: -each.last)[:8]
    for place, each in enumerate(rows):
        height = 0.9 - place * 0.12
        axes.text(0.0, height, each.name, transform=axes.transAxes, fontsize=9)
        shown = number_text(each.last, panel.unit)
        axes.text(1.0, height, shown, transform=axes.transAxes, fontsize=9, ha="right")


def _as_number(axes: Axes, panel: Panel, found: list[Series]) -> None:
    axes.set_axis_off()
    for place, each in enumerate(found):
        reached = [colour for limit, colour in panel.limits if each.last >= limit]
        colour = COLOURS[reached[-1] if reached else panel.base or "green"]
        left = (place + 0.5) / len(found)
        axes.text(left, 0.55, number_text(each.last, panel.unit), ha="center", fontsize=26, color=colour)
        axes.text(left, 0.3, each.name, ha="center", fontsize=8)


def _as_lines(axes: Axes, panel: Panel, found: list[Series]) -> None:
    below: dict[float, float] = {}
    for each in found:
        points = [(at, value) for at, value in each.points if math.isfinite(value)]
        times: Any = [datetime.fromtimestamp(at) for at, _ in points]  # noqa: DTZ006 - the reader's own clock
        values = [value for _, value in points]
        called = f"{each.name}  {number_text(values[-1], panel.unit)}"
        if panel.kind == "stacked":
            under = [below.get(at, 0.0) for at, _ in points]
            values = [value + base for value, base in zip(values, under, strict=True)]
            below.update({at: value for (at, _), value in zip(points, values, strict=True)})
            axes.fill_between(times, under, values, alpha=0.2)
        axes.plot(times, values, linewidth=1.4, label=called)
    top = axes.get_ylim()[1]
    axes.set_ylim(0, top)
    for limit, colour in panel.limits:
        if limit <= top:
            axes.axhline(limit, color=COLOURS[colour], linestyle="--", linewidth=0.9)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value, panel.unit)))
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=6))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M:%S"))  # type: ignore[no-untyped-call]
    axes.tick_params(labelsize=7)
    axes.grid(visible=True, color="#eef0f3")
    axes.legend(fontsize=6.5, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)


def draw(panel: Panel, found: list[Series], path: Path) -> None:
    """Write one picture; the path's suffix is its format."""
    figure = Figure(figsize=SIZE, facecolor=PAPER, layout="constrained")
    axes = figure.subplots()
    axes.set_title(panel.title, loc="left", fontsize=10, color=INK, fontweight="bold")
    if not found:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "nothing in this time", ha="center", color="#5b6472")
    else:
        drawing = {"table": _as_rows, "number": _as_number}.get(panel.kind, _as_lines)
        drawing(axes, panel, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date, so that the same answers make the same file.
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)


def name_of(panel: Panel) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in panel.title.lower()).split())


def index(board: Board, name: str, suffix: str) -> str:
    """A page with all pictures of a board, in the board's order."""
    lines = [f"# {board.title}", ""]
    for row in board.rows:
        lines += [f"## {row.title}", ""]
        for panel in row.panels:
            lines += [f"![{panel.title}]({name}/{name_of(panel)}{suffix})", "", panel.description, ""]
    return "\n".join(lines)


def services(prometheus: str) -> list[str]:
    words = urllib.parse.urlencode({"match[]": REQUESTS})
    found: list[str] = ask(f"{prometheus}/api/v1/label/job/values?{words}")["data"]
    return found


def pictures(prometheus: str, folder: Path, asking: Asking, suffix: str) -> Iterator[Path]:
    """Draw all panels of all boards, a page beside each board; *One service* once for every service."""
    end = time.time()
    for board in BOARDS:
        for service in services(prometheus) if board.one_service else [".*"]:
            name = f"{board.uid}-{service}" if board.one_service else board.uid
            for panel in board.panels:
                path = folder / name / f"{name_of(panel)}{suffix}"
                draw(panel, series(prometheus, panel, replace(asking, service=service), end), path)
                yield path
            page = folder / f"{name}.md"
            page.write_text(index(board, name, suffix), encoding="utf-8")
            yield page


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.pictures", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("prometheus", metavar="URL")
    parser.add_argument("--to", type=Path, default=Path("build/panels"), metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=15.0, help="the time range, up to now (15)")
    parser.add_argument(
        "--export", type=interval, default=60.0, help="seconds between two exports of metrics (60)"
    )
    parser.add_argument("--format", choices=("svg", "png"), default="svg")
    options = parser.parse_args()
    try:
        asking = fitting(options.export, options.minutes * 60)
        for path in pictures(options.prometheus, options.to, asking, f".{options.format}"):
            print(path)
    except (CannotRunError, OSError, ValueError) as error:
        where = "" if isinstance(error, CannotRunError) else f"no answer from {options.prometheus}: "
        print(f"pictures: {where}{error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
