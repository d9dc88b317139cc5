"""The documentation: every link leads somewhere, and everything that has a name is explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from poolscope.cli.demo import EXAMPLES
from poolscope.facts import CloseTrigger
from poolscope.ledger import closing
from poolscope.recording.options import OPTIONS
from poolscope.reports.text import NARROWEST

HOUSE = Path(__file__).resolve().parent.parent
PAGES = [
    HOUSE / "README.md",
    HOUSE / "CONTRIBUTING.md",
    HOUSE / "SECURITY.md",
    *sorted((HOUSE / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)")


def anchors(page: Path) -> set[str]:
    """Anchors that a link can name, as the usual renderers make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text("utf-8")):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {HOUSE / "README.md"}
    while True:
        linked = {
            (page.parent / path).resolve()
            for page in reached
            for path, _ in LINK.findall(page.read_text("utf-8"))
        }
        more = reached | linked & set(PAGES)
        if more == reached:
            break
        reached = more
    assert reached >= set(PAGES)


def test_every_close_trigger_is_explained() -> None:
    assert set(re.findall(r"^- ``(\w+)``: ", closing.__doc__ or "", re.MULTILINE)) == set(
        get_args(CloseTrigger)
    )


def test_every_option_is_listed() -> None:
    page = (HOUSE / "docs" / "run.md").read_text("utf-8")
    assert not [name for option in OPTIONS for name in option.names[:1] if name not in page]


def test_the_narrowest_report_is_as_wide_as_the_page_says() -> None:
    page = (HOUSE / "docs" / "run.md").read_text("utf-8")
    assert f"but never narrower than {NARROWEST}." in page


def test_the_demo_knows_every_example_that_it_does_not_repeat() -> None:
    shown = {example.name for example in EXAMPLES}
    there = {path.stem for path in (HOUSE / "examples").glob("*.py")}
    assert there - shown == {"requests_per_call", "requests_session"}, "the seed program does both"
