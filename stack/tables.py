"""Asks a Prometheus every question of a dashboard, and prints the answers as a Markdown table.

python -m stack.tables http://127.0.0.1:9090
"""

import argparse
import math
import sys
import urllib.parse

from stack.queries import BOARDS
from stack.running import ask

ANYTHING = (("$__rate_interval", "1m"), ("$service", ".*"), ("$instance", ".*"), ("$server", ".*"))


def answers(prometheus: str, expression: str, legend: str) -> list[str]:
    """Each series as `name value`, the largest first."""
    for name, value in ANYTHING:
        expression = expression.replace(name, value)
    asked = urllib.parse.urlencode({"query": expression})
    told: list[tuple[float, str]] = []
    for series in ask(f"{prometheus}/api/v1/query?{asked}")["data"]["result"]:
        labels, number = series["metric"], float(series["value"][1])
        called = legend
        for name, text in labels.items():
            called = called.replace(f"{{{{{name}}}}}", text)
        told.append((-number if math.isfinite(number) else math.inf, f"{called} {number:.4g}"))
    return [text for _, text in sorted(told)]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.tables", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("prometheus", metavar="URL")
    options = parser.parse_args()
    # Both dashboards have the same panels; the first compares the services.
    print("| panel | unit | series and values |\n|---|---|---|")
    try:
        for panel in BOARDS[0].panels:
            told = [
                text
                for each in panel.questions
                for text in answers(options.prometheus, each.expression, each.legend)
            ]
            print(f"| {panel.title} | {panel.unit} | {'<br>'.join(told) or 'no data'} |")
    except OSError as error:
        print(f"no answer from {options.prometheus}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
