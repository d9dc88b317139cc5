"""The pages in a browser: lines over time, and the way from the sick service to its line of code."""

from __future__ import annotations

import html
import re
import urllib.parse

import pytest

from stack import screenshots
from stack.boards import BOARDS
from stack.links import FINDING
from stack.panels import at_once
from stack.programs import HEALTHY, SICK
from stack.queries import CODE, Asking
from stack.running import until
from tests.stack.asking import Ran, is_of_the_sick

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def page(ran: Ran) -> str:
    until(lambda: ran.events("_time:1h poolscope.finding.code:*"), 30, "the finding's event")
    # As at the end of the load, whenever this test runs.
    return screenshots.seen(f"{ran.prometheus}/consoles/poolscope.html?export=2&minutes=5&at={ran.ended}")


def section(page: str, title: str) -> str:
    found = re.search(rf"<section[^>]*><h3>{re.escape(title)}</h3>.*?</section>", page, re.DOTALL)
    assert found, title
    return found[0]


@pytest.mark.parametrize("panel", BOARDS[0].panels, ids=lambda panel: panel.title)
def test_a_panel_is_drawn(page, panel):
    drawn = section(page, panel.title)
    assert 'class="bad"' not in drawn
    if panel.kind in ("lines", "stacked"):
        lines = re.findall(r'<path class="line"[^>]* d="([^"]+)"', drawn)
        assert lines
        # A line, not a dot: it covers several exports.
        assert max(line.count("L") for line in lines) > 5
    assert "<td" in drawn
    for service in re.findall(r"<td>(?:<span[^>]*></span>)?(\w+) ", drawn):
        assert service in (HEALTHY, SICK)


def test_the_sick_service_is_distinguished_from_the_healthy(page):
    """The reuse ratio at its last export under load."""
    drawn = section(page, "Reuse ratio")
    output = {
        service: float(value)
        for service, value in re.findall(r"</span>(\w+) local</td><td[^>]*>([0-9.]+) %", drawn)
    }
    assert output[SICK] < 60 < 90 < output[HEALTHY]


def test_a_finding_is_shown_with_its_file_and_line(page, ran):
    drawn = section(page, "Findings")
    places = {html.unescape(place) for place in re.findall(r'<td class="place">([^<]+)</td>', drawn)}
    assert places
    for place in places:
        file, line = place.rsplit(":", 1)
        assert is_of_the_sick(file, int(line))
    assert SICK in drawn
    assert HEALTHY not in drawn


def test_links_lead_to_this_stacks_jaeger(page, ran):
    assert f'href="{ran.jaeger}/api/traces?service={SICK}' in page


def test_from_the_board_to_the_line_of_code_in_one_click(ran):
    """The link that Grafana makes for a row of Top findings, opened in VictoriaLogs's own page."""
    (panel,) = [panel for panel in BOARDS[0].panels if panel.title == "Top findings"]
    (question,) = panel.questions
    output = at_once(ran.prometheus, question, Asking(export=2.0, range=3600.0), ran.ended)
    found = [each.name.split() for each in output]
    assert {service for service, *_ in found} == {SICK}
    service, _, code = next(row for row in found if row[-1] == "PS101")
    url = FINDING.url.replace("${logs}", ran.logs)
    for field, value in (("service", service), (CODE, code)):
        url = url.replace(f"${{__data.fields.{field}}}", urllib.parse.quote(value))
    assert "$" not in url
    shown = screenshots.seen(url)
    places = re.findall(r"(/[^\s<>]*):(\d+) [\w.<>]+: ", html.unescape(shown))
    assert places
    assert all(is_of_the_sick(file, int(line)) for file, line in places)


def test_an_address_that_does_not_answer_is_named_on_the_page(ran, tmp_path):
    """Without the log store, the rest of the page is drawn, and the page says what is missing."""
    written = (ran.stack.folder / "consoles" / "poolscope.html").read_text(encoding="utf-8")
    alone = ran.stack.folder / "consoles" / "alone.html"
    alone.write_text(written.replace(ran.logs, "http://127.0.0.1:9"), encoding="utf-8")
    drawn = screenshots.seen(f"{ran.prometheus}/consoles/alone.html?export=2&minutes=5&at={ran.ended}")
    assert "no answer from VictoriaLogs at http://127.0.0.1:9" in section(drawn, "Findings")
    assert '<path class="line"' in section(drawn, "Reuse ratio")


def test_a_picture_of_it_can_be_taken(ran, tmp_path):
    path = tmp_path / "page.png"
    screenshots.take(f"{ran.prometheus}/consoles/poolscope.html?export=2&minutes=5", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 50_000
