"""The committed dashboards are the generator's, and ask only for what poolscope's table of names has."""

from __future__ import annotations

import json

import pytest

from stack import dashboards


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


@pytest.mark.parametrize("board", dashboards.BOARDS, ids=lambda board: board.uid)
def test_panels_have_fixed_places_and_uids(board):
    read = json.loads(dashboards.document(board))
    assert read["uid"] == board.uid
    assert len({panel["id"] for panel in read["panels"]}) == len(board.panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in read["panels"]}) == len(
        board.panels
    )
    assert {target["datasource"]["uid"] for panel in read["panels"] for target in panel["targets"]} == {
        "prometheus"
    }
