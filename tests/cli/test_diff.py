"""``poolscope diff``: what a fix changed, by line, and whether it kept its promise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from poolscope.cli.diff import Recording, as_json, text
from poolscope.records import CallSite
from poolscope.reports import overview
from tests.reports.stories import LINE, Story


def per_call(number: int = 10) -> Story:
    story = Story()
    story.header()
    for _ in range(number):
        story.throwaway(kind="requests.get")
    story.summary()
    return story


def shared(number: int = 10, line: int = 14, **changes: Any) -> Story:
    story = Story()
    story.header()
    client = story.client("requests.Session", call_site=replace(LINE, line=line))
    connection = story.connect(client)
    for _ in range(number):
        story.exchange(client, connection)
    story.disconnect(connection, close_time=0.005)
    story.now += 0.005
    story.close(client, number)
    story.summary()
    story.records[-1] = replace(story.records[-1], **changes)
    return story


def compared(before: Story, after: Story) -> str:
    was, now = (Recording(overview.of(story.records)) for story in (before, after))
    return text(was, now, ("before.jsonl", "after.jsonl"))


def rows(shown: str) -> dict[str, list[str]]:
    """The rows of the first table, by their labels."""
    first = shown.split("\n\n")[1]
    return {line[:14].strip(): line[14:].split() for line in first.splitlines()[1:]}


def test_cost_is_building_setup_and_closing() -> None:
    shown = rows(compared(per_call(), shared()))
    assert shown["cost"] == ["250", "ms", "25", "ms", "−225", "ms", "(90", "%", "less)"]
    assert shown["building"] == ["100", "ms", "10", "ms", "−90", "ms", "(90", "%", "less)"]
    assert shown["setup"][:4] == ["100", "ms", "10", "ms"]
    assert shown["closing"][:4] == ["50", "ms", "5.0", "ms"]


def test_the_promised_saving_beside_the_real_one() -> None:
    shown = compared(per_call(), shared())
    assert (
        "PS101 client per request  /srv/.../app/load.py:12 in fetch: gone, cost 250 ms, a saving of" in shown
    )
    assert shown.splitlines()[-1] == "promised: at least 225 ms less; measured: 225 ms less"


def test_a_promise_that_was_not_kept() -> None:
    slower = shared(wall_time=1.0, ended_at=1.0)
    assert (
        compared(per_call(), slower).splitlines()[-1]
        == "promised: at least 225 ms less; measured: 650 ms more"
    )


def test_a_line_with_many_servers_is_named_once() -> None:
    before = Story()
    before.header()
    for _ in range(5):
        for number in range(12):
            before.throwaway(kind="requests.get", origin=f"http://host{number}.test", exchange={"thread": 1})
    before.summary()
    shown = compared(before, shared(60))
    assert shown.count("PS101") == 1
    assert ": gone, cost 1.50 s, a saving of at least 1.20 s" in shown
    assert shown.splitlines()[-1].startswith("promised: at least 1.20 s less; measured:")


def test_a_finding_that_is_still_there_promises_nothing() -> None:
    shown = compared(per_call(), per_call())
    assert ": still there, cost 250 ms" in shown
    assert "promised" not in shown
    assert "same" in shown


def test_a_new_finding_is_called_new() -> None:
    assert compared(shared(), per_call()).splitlines()[-1].endswith("load.py:12 in fetch: new")


def test_runs_that_did_different_work_are_reported_as_such() -> None:
    assert "different numbers of requests" in compared(per_call(100), shared(10))
    assert "different numbers of requests" not in compared(per_call(100), shared(95))


def test_by_line_even_if_the_fix_moved_it() -> None:
    block = compared(per_call(), shared()).split("\n\n")[2].splitlines()
    assert block[0] == "/srv/.../app/load.py:12 → 14 in fetch"
    assert [line.split()[0] for line in block[1:]] == ["requests", "connections", "clients", "cost"]


def test_a_line_that_is_in_no_file() -> None:
    before = Story()
    for line in (2, 3):
        client = before.client(call_site=CallSite("<python -c>", line, "<module>"))
        before.exchange(client, before.connect(client))
    assert "\npython -c, line 2 in <module>\n" in compared(before, before)


def test_the_costliest_line_comes_first() -> None:
    before = per_call()
    client = before.client(built_in=5.0, call_site=CallSite("/srv/.../app/other.py", 3, "main"))
    before.exchange(client, before.connect(client))
    headings = [line for line in compared(before, shared()).splitlines() if line.startswith("/srv")]
    assert headings == ["/srv/.../app/other.py:3 in main", "/srv/.../app/load.py:12 → 14 in fetch"]


def test_no_ratio_where_it_means_nothing() -> None:
    huge = compared(shared(), per_call(5_000))
    assert "×" not in "".join(
        line for line in huge.splitlines() if line.startswith(("connections", "clients"))
    )
    assert rows(compared(per_call(10), per_call(25)))["connections"][2:] == ["+15", "(2.5×)"]
    assert rows(compared(per_call(10_000), shared()))["clients"][2:] == ["−9,999", "(99.9", "%", "less)"]


def test_the_comparison_as_json() -> None:
    was, now = (Recording(overview.of(story.records)) for story in (per_call(), shared()))
    data = json.loads(as_json(was, now))
    assert data["before"]["total"]["building"] > 0.09
    (line,) = data["before"]["lines"]
    assert (line["call_site"]["line"], line["clients"]) == (12, 10)
    (finding,) = data["before"]["findings"]
    assert (finding["code"], round(finding["saving"], 3)) == ("PS101", 0.225)
    assert data["after"]["findings"] == []
