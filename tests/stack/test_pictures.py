"""Every panel can be drawn for the docs, from the real Prometheus's answers."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET

import pytest

from stack import pictures
from stack.boards import BOARDS
from stack.programs import HEALTHY, SICK
from stack.running import free_port

pytestmark = pytest.mark.stack

ACROSS, ONE = BOARDS


@pytest.fixture(scope="module")
def drawn(ran, tmp_path_factory):
    folder = tmp_path_factory.mktemp("panels")
    argv = ["stack.pictures", ran.prometheus, "--to", str(folder), "--export", "2", "--minutes", "5"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)
        assert pictures.main() == 0
    return folder


def test_every_panel_has_a_picture_and_a_page_has_all_of_them(drawn):
    pages = {ACROSS.uid: ACROSS, f"{ONE.uid}-{HEALTHY}": ONE, f"{ONE.uid}-{SICK}": ONE}
    assert {path.stem for path in drawn.glob("*.md")} == set(pages)
    for name, board in pages.items():
        shown = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", (drawn / f"{name}.md").read_text(encoding="utf-8"))
        assert [title for title, _ in shown] == [panel.title for panel in board.panels]
        for _, path in shown:
            assert ET.parse(drawn / path).getroot().tag.endswith("svg")


def test_the_pictures_have_lines_of_both_services(drawn):
    output = (drawn / ACROSS.uid / "reuse-ratio.svg").read_text(encoding="utf-8")
    for service in (HEALTHY, SICK):
        assert f"<!-- {service} local " in output
    found = (drawn / ACROSS.uid / "top-findings.svg").read_text(encoding="utf-8")
    assert f"<!-- {SICK} local PS101 -->" in found


def test_a_prometheus_that_is_down_and_a_range_that_is_too_short(monkeypatch, capsys):
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(sys, "argv", ["stack.pictures", url])
    assert pictures.main() == 2
    assert capsys.readouterr().err.startswith(f"pictures: no answer from {url}: ")
    monkeypatch.setattr(sys, "argv", ["stack.pictures", url, "--minutes", "2"])
    assert pictures.main() == 2
    assert capsys.readouterr().err == "pictures: 120 s hold 2 exports at 60 s: ask for 480 s at least\n"
