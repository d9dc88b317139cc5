"""The committed dashboards are the generator's output, and can be imported into any Grafana."""

from __future__ import annotations

import json
import re

import pytest

from stack import dashboards
from stack.links import ADDRESSES
from stack.ports import Ports
from stack.queries import EXPORT_SECONDS, Asking, window

GRAFANAS_OWN = {"__rate_interval", "__range", "__url_time_range", "__field.labels.job"}


def seconds_of(interval: str) -> float:
    return float(interval[:-1]) * {"s": 1, "m": 60}[interval[-1]]


def read(board) -> dict:
    return json.loads(dashboards.document(board))


@pytest.fixture(params=dashboards.BOARDS, ids=lambda board: board.uid)
def board(request):
    return request.param


def drawn(board) -> list[dict]:
    return [panel for panel in read(board)["panels"] if panel["type"] != "row"]


def test_what_is_committed_is_what_is_generated():
    assert dashboards.disagreements() == []


def test_a_changed_file_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(dashboards, "FOLDER", tmp_path)
    monkeypatch.setattr(dashboards.pages, "PATH", tmp_path / "consoles" / "poolscope.html")
    (tmp_path / "poolscope-left-over.json").write_text("{}", encoding="utf-8")
    assert dashboards.disagreements() == [
        "poolscope-connections.json",
        "poolscope-left-over.json",
        "poolscope-service.json",
        "poolscope.html",
    ]


def test_panels_have_their_own_place_below_their_row(board):
    panels = read(board)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len(board.panels) + len(board.rows)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at.get("x", 0), at.get("x", 0) + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at.get("x", 0) + at["w"] <= 24
        taken |= cells
    assert [panel["title"] for panel in panels if panel["type"] == "row"] == [row.title for row in board.rows]


def test_no_data_source_is_named(board):
    """An import asks for none, whatever name the data source has."""
    output = read(board)
    panels = drawn(board)
    sources = {target["datasource"]["uid"] for panel in panels for target in panel["targets"]}
    sources |= {panel["datasource"]["uid"] for panel in panels}
    sources |= {v["datasource"]["uid"] for v in output["templating"]["list"] if v["type"] == "query"}
    assert sources == {"${datasource}"}
    assert "datasource" in {v["name"] for v in output["templating"]["list"] if v["type"] == "datasource"}


def test_every_variable_that_is_used_is_at_the_top(board):
    output = read(board)
    names = {variable["name"] for variable in output["templating"]["list"]}
    used = set()
    for text in [
        *(target["expr"] for panel in drawn(board) for target in panel["targets"]),
        *(target["interval"] for panel in drawn(board) for target in panel["targets"]),
        *(str(variable.get("query")) for variable in output["templating"]["list"]),
    ]:
        used |= set(re.findall(r"\$(?!\d)(\w+)", text))
    for text in links(output):
        used |= {word.split(":")[0] for word in re.findall(r"\$\{([^}]+)\}", text)}
    used -= {word for word in used if word in GRAFANAS_OWN or word.startswith("__data.fields.")}
    assert used <= names
    # And there is no unused variable.
    assert names <= used | {"datasource"}


def links(output: dict) -> list[str]:
    of_board = [link["url"] for link in output["links"] if link.get("url")]
    of_panels = [
        link["url"]
        for panel in output["panels"]
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", ())
    ]
    return [*of_board, *of_panels]


def test_links_lead_to_existing_boards_and_configurable_addresses(board):
    uids = {each.uid for each in dashboards.BOARDS}
    found = links(read(board))
    assert found
    for url in found:
        inside = re.match(r"/d/([\w-]+)\?", url)
        assert (inside and inside[1] in uids) or re.match(r"\$\{(jaeger|logs)\}/", url)


def test_the_finding_leads_to_its_event(board):
    (panel,) = [panel for panel in drawn(board) if panel["title"] == "Top findings"]
    (link,) = panel["fieldConfig"]["defaults"]["links"]
    # Its fields are the labels that the panel's query keeps.
    fields = re.findall(r"\$\{__data\.fields\.(\w+)\}", link["url"])
    kept = re.findall(r"max by \(([^)]*)\)", panel["targets"][0]["expr"])[0].split(", ")
    assert fields
    assert set(fields) <= set(kept)


def test_all_includes_series_without_the_label(board):
    for variable in read(board)["templating"]["list"]:
        if variable.get("includeAll"):
            assert variable["allValue"] == ".*"


def test_every_window_holds_four_exports(board):
    """Grafana derives it from the panel's "Min step", which is the export interval chosen at the top."""
    for panel in drawn(board):
        for target in panel["targets"]:
            assert target["interval"] == "$export"
            assert "[5m]" not in target["expr"]
            if "rate(" in target["expr"]:
                assert "$__rate_interval" in target["expr"]
    (export,) = [v for v in read(board)["templating"]["list"] if v["name"] == "export"]
    assert seconds_of(export["current"]["value"]) == EXPORT_SECONDS
    for interval in map(seconds_of, export["query"].split(",")):
        for step in (interval, 10 * interval):
            assert window(step, interval) >= 4 * interval


def test_a_panel_with_a_limit_has_its_colours(board):
    for panel, written in zip(board.panels, drawn(board), strict=True):
        steps = written["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [(step["value"], step["color"]) for step in steps[1:]] == list(panel.limits)
    coloured = {panel.title for panel in board.panels if panel.limits}
    assert {"Reuse ratio", "Facts lost", "Hooks switched off", "Waiting for a connection"} <= coloured


def test_two_servers_of_one_host_are_distinguished_by_port():
    (board,) = [board for board in dashboards.BOARDS if board.one_service]
    for panel in board.panels:
        for question in panel.questions:
            if "server_address," in question.expression:
                assert "server_port" in question.expression
                assert "{{server_port}}" in question.legend


def test_no_grafana_variable_is_left_after_filling_in(board):
    for panel in board.panels:
        for question in panel.questions:
            assert not re.search(r"\$(?!2\b)", Asking().fill_in(question.expression))


def test_addresses_are_the_stacks():
    assert {
        "jaeger": f"http://localhost:{Ports.jaeger_query}",
        "logs": f"http://localhost:{Ports.logs}",
    } == ADDRESSES
