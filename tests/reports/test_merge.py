"""Findings of several processes as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from poolscope import findings
from poolscope.findings.base import Rule
from poolscope.records import Finding, Record
from poolscope.reports.merge import merged
from tests.findings.rule import found
from tests.findings.test_ca_loads import clients
from tests.findings.test_cut_while_waiting import cut
from tests.findings.test_dying_clients import batches
from tests.findings.test_keepalive_clash import polled
from tests.findings.test_needless_redirect import redirected
from tests.findings.test_never_closed import kept
from tests.findings.test_pinned_sockets import ended, gone
from tests.findings.test_retries_sleep import retried
from tests.findings.test_stale_connection import failed
from tests.findings.test_used_after_fork import child
from tests.reports.stories import LINE, Story


def used_after_fork(pid: int, times: int) -> list[Record]:
    story = Story(pid=pid)
    client = story.client()
    connection = story.connect(client, inherited=True)
    for _ in range(times):
        story.exchange(client, connection)
    return story.records


@pytest.mark.parametrize(
    ("times", "said"),
    [([1, 1, 1], "3 requests to"), ([1], "1 request to"), ([2, 1], "3 requests to")],
    ids=["one in each", "one in all", "two and one"],
)
def test_the_sum_has_the_noun_that_fits(times: list[int], said: str) -> None:
    children = [record for pid, number in enumerate(times, 1) for record in used_after_fork(pid, number)]
    (one,) = [one.finding for one in merged(findings.find(children)) if one.finding.code == "PS110"]
    assert one.count == sum(times)
    assert one.sentence.startswith(said)


def test_no_sentence_states_the_sleep_of_one_process_as_that_of_all() -> None:
    (finding,) = found("PS120", retried([3.0, 4.0]))
    (one,) = (one.finding for one in merged([replace(finding, pid=pid) for pid in (1, 2, 3)]))
    assert one.cost == pytest.approx(21.0)
    assert one.sentence.startswith("6 retries of requests to ")
    assert "7.0 s" not in one.sentence
    assert "up to 4.0 s at once" in one.sentence


def thrown_away() -> Story:
    story = Story()
    for _ in range(10):
        story.throwaway(kind="requests.get")
    return story


ADDS_UP: dict[str, Callable[[], Story]] = {
    "PS101": thrown_away,
    "PS102": lambda: kept(10),
    "PS107": lambda: polled(5, 6.0),
    "PS108": failed,
    "PS110": lambda: child(inherited=True),
    "PS113": lambda: redirected(4),
    "PS114": lambda: ended(story := Story(), gone(story, 10)),
    "PS115": lambda: clients(30),
    "PS120": lambda: retried([3.0, 4.0]),
    "PS122": lambda: batches(4),
    "PS123": lambda: cut([60.0] * 3),
}
"""A program for each rule that `adds_up`."""
IDS = ("id", "client", "pool", "connection", "previous", "opened_by", "failed_setup", "request")


def again(record: Record) -> Record:
    """The same once more in the same process: other clients, connections and requests."""
    names = [field.name for field in fields(record) if field.name in IDS]
    return replace(
        record, **{name: known + 10_000 for name in names if (known := getattr(record, name)) is not None}
    )


def in_both(finding: Finding) -> Finding:
    ((one, processes),) = merged([finding, replace(finding, pid=finding.pid + 1)])
    assert processes == 2
    return one


@pytest.mark.parametrize(
    "rule", [rule for rule in findings.RULES if rule.adds_up], ids=lambda rule: rule.code
)
def test_two_processes_did_what_one_does_that_works_twice_as_much(rule: type[Rule]) -> None:
    story = ADDS_UP[rule.code]()
    (finding,) = found(rule.code, story)
    twice = Story(records=[*story.records, *map(again, story.records)])
    (busier,) = found(rule.code, twice)
    assert busier.count == 2 * finding.count
    assert in_both(finding).sentence == f"{busier.sentence.removesuffix('.')}, in 2 processes."


@pytest.mark.parametrize(
    "rule", [rule for rule in findings.RULES if not rule.adds_up], ids=lambda rule: rule.code
)
def test_other_sentences_are_quoted_from_one_process(rule: type[Rule]) -> None:
    said = "7 requests to http://api.test:80 ran into it; 3 failed, 7 were slow."
    finding = Finding(1, rule.code, rule.title, None, LINE, None, 7, None, None, "Do it.", said)
    assert in_both(finding).sentence == f"14 times in 2 processes. In one of them: {said}"
    ((twice, _),) = merged([finding, finding])
    assert twice.sentence == f"14 times. For example: {said}"


def test_a_sentence_that_differs_is_quoted_from_one_process() -> None:
    (short,), (long,) = found("PS120", retried([3.0, 4.0])), found("PS120", retried([3.0, 9.0]))
    ((one, _),) = merged([replace(short, pid=1), replace(long, pid=2)])
    assert one.sentence.startswith("4 times in 2 processes. In one of them: 2 retries of ")


def test_numbers_in_notes_and_other_fixes_are_said_of_one_process() -> None:
    finding = Finding(
        1,
        "PS109",
        "",
        None,
        LINE,
        None,
        2,
        None,
        None,
        "Do less; wait 5 s.",
        "So.",
        notes=["Plain.", "It took 3."],
    )
    more = [replace(finding, pid=2, notes=["It took 4."]), replace(finding, pid=3, fix="Do more.", notes=[])]
    ((one, _),) = merged([finding, *more])
    assert one.fix == "Do less; wait 5 s."
    assert sorted(one.notes) == ["Another fix: Do more.", "In one of them: It took 3.", "Plain."]
