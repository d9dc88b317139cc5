"""Each finding has a page, and the page's programs do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from poolscope import testing
from poolscope.findings import RULES, Rule
from tests.servers import Running

PAGES = Path(__file__).resolve().parent.parent / "docs" / "findings"
BLOCK = re.compile(r"```python (sick|fixed)\n(.*?)```", re.DOTALL)
DESCRIBED = [rule for rule in RULES if (PAGES / f"{rule.code}.md").is_file()]
"""All of them: tests/test_map.py names a rule without a page."""
SECTIONS = ("What people see", "Cause", "How poolscope knows", "Fix", "Sources")
ELSEWHERE = {"PS110", "PS112", "PS113", "PS116", "PS124", "PS125", "PS126"}
"""A fork, a proxy, two origins, an address that does not answer, a slow name server, a burst, a slow machine: their programs are in tests/findings."""


def page(code: str) -> str:
    return (PAGES / f"{code}.md").read_text("utf-8")


@pytest.mark.parametrize("rule", DESCRIBED, ids=lambda rule: rule.code)
def test_its_page_has_every_section(rule: type[Rule]) -> None:
    text = page(rule.code)
    assert text.startswith(f"# {rule.code} {rule.title}\n")
    wanted = SECTIONS if rule.code != "PS101" else ("When it fires", "Cost", "Saving", "Fix", "Sources")
    assert not [title for title in wanted if f"\n## {title}\n" not in text]


def test_there_is_no_page_without_a_rule() -> None:
    codes = {rule.code for rule in RULES}
    assert {path.stem for path in PAGES.glob("*.md")} <= codes
    assert set(re.findall(r"\[(PS\d+)\]", (PAGES.parent / "findings.md").read_text("utf-8"))) <= codes


# Some of these programs leave clients and answers open on purpose.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("rule", DESCRIBED, ids=lambda rule: rule.code)
@pytest.mark.parametrize("kind", ["sick", "fixed"])
def test_its_programs_do_what_it_says(server: Running, rule: type[Rule], kind: str) -> None:
    programs = dict(BLOCK.findall(page(rule.code)))
    assert rule.code in ELSEWHERE or set(programs) == {"sick", "fixed"}, "write both, or name it in ELSEWHERE"
    if rule.code in ELSEWHERE:
        assert not programs
        return
    space: dict[str, Any] = {"URL": server.origin}
    with testing.capture() as captured:
        exec(compile(programs[kind], f"{rule.code}.md", "exec"), space)
    made: list[Any] = [space.get("client"), *space.get("kept", ())]
    for client in made:
        if hasattr(client, "close"):
            client.close()
    codes = {finding.code for finding in captured.findings}
    assert (rule.code in codes) == (kind == "sick")
