"""The page for those without Grafana: Prometheus fills a template of its own kind with the dashboards' questions.

python -m stack.dashboards writes it, together with the dashboards.
"""

import html
import re
from pathlib import Path

from stack.queries import BOARDS, Panel, Question
from stack.searches import SEARCHES

PATH = Path(__file__).resolve().parent / "prometheus" / "consoles" / "poolscope.html"
JAEGER = "http://localhost:16686"
"""Where Jaeger usually is; started on another port, its address is put in here (stack/programs.py)."""
FORMS = {"percentunit": ".Value | humanizePercentage", "s": ".Value | humanizeDuration"}
NUMBER = 'printf "%.4g" .Value'
BOARD = BOARDS[0]

STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #1d2430; background: #f6f7f9 }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 1rem }
section { background: #fff; border: 1px solid #dde1e7; border-radius: 6px; padding: .8rem 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1rem; margin: 0 } p { margin: .2rem 0 .6rem; color: #5b6472; font-size: .85rem }
table { border-collapse: collapse; width: 100% } td { padding: .1rem 0; border-top: 1px solid #eef0f3 }
td:last-child { text-align: right; font-variant-numeric: tabular-nums }
""".strip()


def expression(question: Question) -> str:
    """The question for all services and servers, over the last minute."""
    asked = question.expression.replace("$__rate_interval", "1m")
    return asked.replace("$service", ".*").replace("$server", ".*")


def row(question: Question, unit: str) -> str:
    called = re.sub(r"\{\{(\w+)\}\}", r"{{ .Labels.\1 }}", question.legend)
    asked = expression(question).replace("\\", "\\\\").replace('"', '\\"')
    value = "{{ " + FORMS.get(unit, NUMBER) + " }}"
    return (
        f'{{{{ range query "{asked}" | sortByLabel "service_name" }}}}'
        f"<tr><td>{called}</td><td>{value}</td></tr>"
        "{{ else }}<tr><td>no data</td><td></td></tr>{{ end }}"
    )


def card(panel: Panel) -> str:
    rows = "\n".join(row(question, panel.unit) for question in panel.questions)
    unit = {"reqps": "per second", "cps": "per second"}.get(panel.unit)
    title = f"{panel.title}, {unit}" if unit else panel.title
    return (
        f"<section><h2>{html.escape(title)}</h2><p>{html.escape(panel.tells)}</p>\n"
        f"<table>\n{rows}\n</table></section>"
    )


def searches() -> str:
    items = "\n".join(
        f'<li>{html.escape(search.asks)} <a href="{html.escape(search.page(JAEGER))}">in Jaeger</a>'
        f' · <a href="{html.escape(search.api(JAEGER))}">as JSON</a></li>'
        for search in SEARCHES
    )
    return f"<section><h2>Traces</h2>\n<ul>\n{items}\n</ul></section>"


def document() -> str:
    """The page as it is kept in the repository."""
    cards = "\n".join(card(panel) for panel in BOARD.panels)
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="10">\n'
        f"<title>{html.escape(BOARD.title)}</title>\n<style>\n{STYLE}\n</style></head><body>\n"
        f"<h1>{html.escape(BOARD.title)}</h1>\n<main>\n{cards}\n{searches()}\n</main></body></html>\n"
    )
