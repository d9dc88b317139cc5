"""A page for those without Grafana: Prometheus serves it, and it draws the panels of the dashboards.

python -m stack.dashboards writes it, together with the dashboards.
"""

import html
import json
import re
from pathlib import Path

from poolscope.signals import names
from stack.boards import BOARDS
from stack.links import ADDRESSES
from stack.queries import EXPORT_SECONDS
from stack.searches import SEARCHES
from stack.shapes import Panel

HERE = Path(__file__).resolve().parent
PATH = HERE / "prometheus" / "consoles" / "poolscope.html"
BOARD = BOARDS[0]
SHOWN_OF_FINDINGS = (
    "_time", "_msg", "service.name", names.FINDING_CODE, names.FINDING_COST, names.CODE_FILE, names.CODE_LINE,
)  # fmt: skip
# A growing finding is sent again: the newest event of each line of code is enough.
FINDINGS = (
    f"{names.FINDING_CODE}:* | sort by (_time desc) partition by "
    f"(service.name, {names.FINDING_CODE}, {names.CODE_FILE}, {names.CODE_LINE}) limit 1"
    f" | sort by (_time desc) | fields {', '.join(SHOWN_OF_FINDINGS)}"
)


def asked(panel: Panel) -> dict[str, object]:
    return {
        "title": panel.title,
        "description": panel.description,
        "unit": panel.unit,
        "kind": panel.kind,
        "limits": panel.limits,
        "questions": [
            # Prometheus treats the page as a template, in which {{ }} is code.
            {"expression": each.expression, "legend": re.sub(r"\{\{(\w+)\}\}", r"[\1]", each.legend)}
            for each in panel.questions
        ],
    }


def data() -> str:
    """What the page asks, as JSON that neither HTML nor Prometheus's templates interpret."""
    page = {
        "exported": EXPORT_SECONDS,
        "logs": ADDRESSES["logs"],
        "findings": FINDINGS,
        "rows": [{"title": row.title, "panels": list(map(asked, row.panels))} for row in BOARD.rows],
        "searches": [
            {
                "asks": search.asks,
                "page": search.page(ADDRESSES["jaeger"]),
                "api": search.api(ADDRESSES["jaeger"]),
            }
            for search in SEARCHES
        ],
    }
    return json.dumps(page, indent=1).replace("<", r"\u003c")


def document() -> str:
    """The page as it is in the repository."""
    style = (HERE / "page" / "style.css").read_text(encoding="utf-8")
    program = (HERE / "page" / "page.js").read_text(encoding="utf-8")
    title = html.escape(BOARD.title)
    script = f"const PAGE = {data()};\n{program}"
    assert "{{" not in script
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n<style>\n{style}</style></head>\n'
        f"<body><h1>{title}</h1>\n<script>\n{script}</script></body></html>\n"
    )
