"""Findings of several processes as one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from poolscope import findings
from poolscope.findings.base import Rule
from poolscope.records import Finding, Record
from poolscope.reports import overview, text
from poolscope.reports.merge import Merged, by_line, merged
from tests.findings.rule import found
from tests.findings.test_ca_loads import clients
from tests.findings.test_cut_while_waiting import cut
from tests.findings.test_dying_clients import batches
from tests.findings.test_keepalive_clash import polled
from tests.findings.test_needless_redirect import redirected
from tests.findings.test_never_closed import kept
from tests.findings.test_pinned_sockets import ended, gone
from tests.findings.test_pool_overflow import bursts
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
    (one,) = merged([finding, replace(finding, pid=finding.pid + 1)])
    assert one.processes == 2
    return one.finding


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


def of_servers(*hosts: str, times: int = 11, thread: int | None = 1) -> list[Finding]:
    story = Story()
    for _ in range(times):
        for host in hosts:
            story.throwaway(kind="requests.get", origin=f"http://{host}", exchange={"thread": thread})
    return findings.find(story.records)


def test_a_line_with_many_servers_is_one_finding_in_a_report() -> None:
    per_server = of_servers("a.test", "b.test", "c.test")
    assert len(per_server) == 3
    (one,) = by_line(merged(per_server))
    finding = one.finding
    assert (finding.origin, finding.count, one.processes) == (None, 33, 1)
    assert finding.line_origins == ("http://a.test", "http://b.test", "http://c.test")
    assert finding.sentence.startswith("11 calls of requests.get() to http://a.test each")
    assert finding.sentence.endswith(" The same with 2 other servers: 33 times in all.")
    assert finding.cost == pytest.approx(sum(each.cost or 0.0 for each in per_server))
    assert finding.parts == pytest.approx({part: 3 * cost for part, cost in per_server[0].parts.items()})
    assert finding.saving == pytest.approx(3 * 10 * 0.025)


def test_what_one_server_saves_is_promised_where_others_are_ignored_or_overlap() -> None:
    a, b, _ = of_servers("a.test", "b.test", "c.test")
    (some,) = by_line(merged([a, b]))
    assert some.finding.saving == a.saving
    (overlap,) = by_line(merged(of_servers("a.test", "b.test", thread=None)))
    assert overlap.finding.saving == pytest.approx(10 * 0.025)


def test_the_largest_number_is_the_one_to_set() -> None:
    (small,) = found("PS104", bursts(5, 12))
    (large,) = found("PS104", bursts(5, 25))
    both = [replace(small, cost=9.0), replace(large, origin="http://other.test")]
    (one,) = by_line(merged(both))
    assert "up to 12 connections" in one.finding.sentence
    assert "pool_maxsize=25" in one.finding.fix


def test_what_needs_other_words_or_another_line_stays_apart() -> None:
    (plain,) = found("PS104", bursts(5, 12))
    others = [
        replace(plain, origin="http://other.test", fix="Something else."),
        replace(plain, origin="http://third.test", call_site=replace(LINE, line=99)),
        replace(plain, origin="http://fourth.test", code="PS127"),
    ]
    assert by_line(merged([plain, *others])) == merged([plain, *others])


def test_servers_without_a_line_stay_apart() -> None:
    (plain,) = found("PS104", bursts(5, 12))
    unknown = [replace(plain, call_site=None, origin=origin) for origin in ("http://a.test", "http://b.test")]
    assert [one.finding.origin for one in by_line(merged(unknown))] == ["http://a.test", "http://b.test"]


def test_a_line_with_many_servers_in_several_processes() -> None:
    per_process = [replace(each, pid=pid) for pid in (1, 2) for each in of_servers("a.test", "b.test")]
    (one,) = by_line(merged(per_process))
    assert isinstance(one, Merged)
    assert (one.processes, one.finding.count) == (2, 44)
    assert one.finding.saving == pytest.approx(2 * 10 * 0.025), "of one process: they run side by side"


def test_processes_with_a_server_each_are_that_many() -> None:
    per_process = [replace(each, pid=pid) for pid in (1, 2, 3) for each in of_servers(f"host{pid}.test")]
    (one,) = by_line(merged(per_process))
    assert one.processes == 3
    assert one.finding.saving == pytest.approx(10 * 0.025)


def test_the_saving_is_that_of_the_process_with_most_servers() -> None:
    few = [replace(each, pid=1, fix=f"{each.fix} And more.") for each in of_servers("a.test", times=7)]
    many = [replace(each, pid=2, fix=few[0].fix[:-10]) for each in of_servers("a.test", "b.test")]
    (one,) = by_line(merged([*few, *many, replace(many[1], pid=1, fix=few[0].fix)]))
    assert one.finding.saving == pytest.approx(2 * 10 * 0.025)


def test_what_is_about_a_client_stays_apart() -> None:
    (plain,) = found("PS104", bursts(5, 12))
    about_all = replace(plain, origin=None, pid=2)
    assert len(by_line(merged([plain, about_all]))) == 2


def test_information_stays_apart_from_a_warning() -> None:
    harmless, plain = of_servers("a.test", "b.test")
    assert len(by_line(merged([replace(harmless, severity="info"), plain]))) == 2


def test_lanes_are_those_of_the_servers_with_the_finding() -> None:
    story = Story()
    story.header()
    for _ in range(5):
        for host in ("a.test", "b.test"):
            story.throwaway(kind="requests.get", origin=f"http://{host}")
    story.throwaway(kind="requests.get", origin="http://healthy.test")
    story.summary()
    seen = overview.of(story.records)
    (one,) = by_line(merged(seen.findings()))
    drawn = text.lanes(seen, one.finding, 100)
    assert "a.test" in drawn and "b.test" in drawn
    assert "healthy.test" not in drawn
