"""The text report: what a reader must find in it, at every width, and that it is plain text on request."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from poolscope.facts import WaitKind
from poolscope.records import CallSite, Finding, Phase, Record, Summary
from poolscope.reports import overview, text
from tests.reports.stories import LINE, Story

SHARED = CallSite("/srv/.../app/deep/er/shared.py", 40, "Api.fetch")


def seed(number: int = 1_000) -> Story:
    """Both ways: a client per request, and one client for all requests."""
    story = Story()
    story.header()
    for _ in range(number):
        story.throwaway(kind="requests.get")
    client = story.client("requests.Session", built_in=0.0, call_site=SHARED)
    connection = story.connect(client)
    for _ in range(number):
        story.exchange(client, connection)
    story.disconnect(connection)
    story.close(client, number)
    story.summary()
    return story


def report(records: list[Record], width: int = 100, color: bool = False) -> str:
    return text.render(overview.of(records), width, color)


def line_with(word: str, lines: str) -> str:
    (found,) = [line for line in lines.splitlines() if re.search(word, line)]
    return found


def test_the_seed_program_is_two_rows() -> None:
    shown = report(seed().records)
    assert line_with(r"^  requests\.get ", shown).split() == [
        "requests.get", "1,000", "1,000", "1,000", "0", "%", "25.0", "s", "–"
    ]  # fmt: skip
    assert line_with(r"^  requests\.Session ", shown).split() == [
        "requests.Session", "1", "1,000", "1", "99.9", "%", "10", "ms", "–"
    ]  # fmt: skip
    assert "files below /srv/.../app" in shown
    assert "    load.py:12 in fetch" in shown
    assert "    deep/er/shared.py:40 in Api.fetch" in shown
    assert "1,000 × client close" in shown
    assert line_with("and 999 alike", shown).endswith(" setup 10ms · 200 10ms ✕ client close, and 999 alike")


def test_the_finding_has_line_cost_saving_and_fix() -> None:
    shown = report(seed().records)
    assert "PS101 client per request  load.py:12 in fetch" in shown.splitlines()
    assert "cost    25.0 s of building, setup and closing" in shown
    assert "saving  at least 25.0 s of the run's 45.0 s" in shown
    assert "fix     Create one requests.Session()" in shown


def test_a_finding_says_that_its_line_is_not_known() -> None:
    story = Story()
    for _ in range(5):
        story.throwaway(kind="requests.get", call_site=None)
    assert "PS101 client per request  at an unknown line" in report(story.records)


def test_the_totals_are_the_last_line() -> None:
    assert report(seed(3).records, 160).splitlines()[-1] == (
        "total  6 requests · 4 connections · 4 clients · 33 % reused · 40 ms in setup · 30 ms building clients"
        " · 15 ms closing"
    )


@pytest.mark.parametrize("width", [40, 72, 80, 100, 140, 200])
def test_no_line_is_too_wide_and_numbers_are_under_their_titles(width: int) -> None:
    lines = report(seed().records, width).splitlines()
    assert max(map(len, lines)) <= max(text.NARROWEST, width)
    heading = next(line for line in lines if "REQUESTS" in line)
    for kind in ("  requests.get ", "  requests.Session "):
        row = next(line for line in lines if line.startswith(kind))
        assert row.rstrip("–").rstrip().endswith("s")
        end = heading.index("REQUESTS") + len("REQUESTS")
        assert row[:end].endswith(" 1,000")


def test_plain_text_has_no_escape_codes_and_colour_changes_nothing_else() -> None:
    records = seed(5).records
    plain, coloured = report(records), report(records, color=True)
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m|\x1b]8;;[^\x1b]*\x1b\\", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    records = seed(5).records
    before = report(records)
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "40", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    assert report(records) == before


def test_the_same_records_give_the_same_text_and_rendering_changes_nothing() -> None:
    records = seed(20).records
    drawn = overview.of(records)
    assert text.render(drawn) == text.render(drawn) == report(records)


def test_nothing_happened() -> None:
    story = Story()
    story.header()
    story.summary()
    shown = report(story.records)
    assert line_with("No HTTP connection was opened", shown).startswith("No HTTP")
    assert "total" not in shown


def test_nothing_at_all() -> None:
    assert "No HTTP connection was opened" in report([])


def test_clients_that_were_not_used() -> None:
    story = Story()
    story.header()
    story.close(story.client(), 0)
    story.summary()
    assert "1 client was built in 10 ms, and never used." in report(story.records)


def test_only_failures() -> None:
    story = Story()
    story.header()
    client = story.client()
    for phase in ("dns", "connect", "connect"):
        story.failure(client, phase)
    story.close(client, 3)
    story.summary(exit_code=1)
    shown = report(story.records)
    assert "exit code 1" in shown
    assert line_with(r"^  httpx\.Client ", shown).split() == [
        "httpx.Client", "1", "3", "0", "–", "70", "ms", "–"
    ]  # fmt: skip
    assert "failed   2 × setup in connect · 1 × setup in dns · 3 × ConnectError" in shown
    assert "✕ failed in dns (ConnectError)" in shown
    assert "total  3 requests · 0 connections" in shown


def test_waiting_names_the_limit() -> None:
    story = Story()
    story.header()
    client = story.client()
    story.pool(client, most=2)
    connection, _ = story.connect(client), story.connect(client)
    for wait in (0.0, 0.5, 1.5):
        story.exchange(client, connection, pool_wait=wait)
    shown = report(story.records)
    assert "waiting  2 requests for a connection, at most 1.50 s each; the pool allows 2 connections" in shown
    assert line_with(r"^  httpx\.Client ", shown).endswith("2.00 s")
    assert "no end recorded" in shown
    assert "2 still open" in shown


def test_waiting_for_a_stream_is_not_the_pools_limit() -> None:
    def shown(*kinds: WaitKind) -> str:
        story = Story()
        client = story.client()
        story.pool(client, most=1)
        connection = story.connect(client)
        for kind in kinds:
            story.exchange(client, connection, pool_wait=0.5, waited_for=kind)
        return report(story.records, 120)

    assert "waiting  1 request for a stream of an HTTP/2 connection\n" in shown("stream")
    both = "waiting  3 requests for a connection or, 1 of them, for a stream on it, at most 500 ms each; the pool allows 1"
    assert both in shown("pool", "stream", "pool")


def test_a_limit_that_was_not_reached_is_not_what_they_waited_for() -> None:
    story = Story()
    story.header()
    client = story.client()
    story.pool(client, most=2)
    story.exchange(client, story.connect(client), pool_wait=0.5)
    shown = report(story.records)
    assert "waiting  1 request for a connection\n" in shown


def test_a_wait_without_success_is_counted() -> None:
    story = Story()
    story.header()
    client = story.client()
    story.pool(client, most=1)
    connection = story.connect(client)
    for lost in (0, 3, 1):
        story.exchange(client, connection, pool_wait=0.1, failed_attempts=lost)
    shown = " ".join(report(story.records).split())
    assert "the pool allows 1 connection; 4 × the assigned one was taken already" in shown


def test_a_surplus_names_the_pools_limit() -> None:
    story = Story()
    story.header()
    client = story.client()
    story.pool(client)
    story.disconnect(story.connect(client), "max_keepalive_surplus")
    story.disconnect(story.connect(client))
    assert "closed   1 × client close · 1 × max keepalive surplus (the pool keeps 10)" in report(
        story.records
    )


def test_limits_that_differ_are_not_shown() -> None:
    story = Story()
    story.header()
    for allowed in (1, 2):
        client = story.client()
        story.pool(client, most=allowed)
        connection = story.connect(client)
        story.exchange(client, connection, pool_wait=0.5)
        story.disconnect(connection, "max_keepalive_surplus")
    shown = report(story.records)
    assert "the pool allows" not in shown
    assert "2 × max keepalive surplus (the pool keeps 10)" in shown


def test_long_details_are_folded_not_cut() -> None:
    story = Story()
    client = story.client()
    for reason in ("server_closed_idle", "server_closed_mid_body", "keepalive_expired", "response_not_read"):
        connection = story.connect(client)
        story.exchange(client, connection)
        story.disconnect(connection, reason)
    lines = report(story.records, 80).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("    closed   "))
    assert lines[at + 1].startswith(" " * 13)
    assert "… " not in lines[at] + lines[at + 1]
    assert "1 × server closed mid body" in f"{lines[at].strip()} {lines[at + 1].strip()}"


def test_two_hundred_origins() -> None:
    story = Story()
    story.header()
    for number in range(200):
        story.throwaway(origin=f"http://host{number:03}.test", kind="requests.get")
    story.summary()
    lines = report(story.records).splitlines()
    assert len(lines) < 130
    assert any(line.startswith("other origins") for line in lines)
    assert line_with(r"more origins", "\n".join(lines)).split()[:4] == ["…", "160", "more", "origins"]
    assert "total  200 requests · 200 connections" in "\n".join(lines)


def test_a_long_origin_is_above_its_numbers() -> None:
    story = Story()
    origin = f"https://{'very-long-' * 4}name.test:8443"
    client = story.client()
    story.exchange(client, story.connect(client, origin))
    lines = report(story.records, 80).splitlines()
    at = lines.index(origin)
    assert lines[at + 1].split()[0] == "CLIENTS"


def test_several_processes() -> None:
    stories = [Story(pid=pid) for pid in (11, 12)]
    records: list[Record] = []
    for story in stories:
        story.header(parent=None if story is stories[0] else stories[0].pid)
        for _ in range(5):
            story.throwaway(kind="requests.get")
        story.summary()
        records += story.records
    shown = report(records)
    assert "2 processes" in shown
    assert shown.count("PS101") == 1
    assert "10 calls of requests.get()" in shown
    assert "in 2 processes." in shown
    assert re.search(r"^    11#\d+ .* and 9 alike$", shown, re.MULTILINE)
    assert "cost    250 ms" in shown
    assert "sums over 2 processes" in " ".join(shown.split())
    assert "saving  at least 100 ms of the run's 175 ms in one process" in shown


def test_of_many_runs_a_few_are_named() -> None:
    records: list[Record] = []
    for pid in range(1, 6):
        story = Story(pid=pid)
        story.header(program=f"job{pid}.py", origins=["*.test"] if pid > 1 else [])
        story.throwaway()
        story.summary(exit_code=1)
        records += story.records
    assert "job1.py, job2.py, job3.py and 2 more · Python 3.11.9 · 5 runs\n" in report(records)


def test_a_client_that_was_not_seen() -> None:
    story = Story()
    connection = story.connect(None)
    story.exchange(None, connection)
    shown = report(story.records)
    assert line_with("client not seen", shown).split()[:6] == ["client", "not", "seen", "–", "1", "1"]


def test_the_package_in_between_is_named() -> None:
    story = Story()
    sdk = CallSite("/lib/site-packages/somesdk/http.py", 7, "Api._client")
    for _ in range(5):
        story.throwaway(sdk_call_site=sdk)
    shown = report(story.records)
    assert "    through somesdk/http.py:7 in Api._client" in shown
    assert "(at somesdk/http.py:7)" in shown


def test_what_was_not_seen() -> None:
    story = seed(1)
    summary = story.records[-1]
    assert isinstance(summary, Summary)
    story.records[-1] = replace(
        summary, facts_dropped=12, hooks_disabled=["urllib3.close"], children_not_followed=1
    )
    other = Story(pid=7)
    other.header()
    shown = report(story.records + other.records)
    assert "not seen  12 facts dropped because the queue was full" in shown
    assert "switched themselves off: urllib3.close." in shown
    assert "1 child process not followed" in shown
    assert "The end of 1 process" in shown


def test_lines_of_one_file_only() -> None:
    story = Story()
    story.throwaway(call_site=replace(LINE, file="<string>", function="<module>"))
    assert "    exec(), line 12 in <module>" in report(story.records)


def test_an_origin_of_one_request_shows_its_clients_cost() -> None:
    shown = report(seed(100).records)
    assert "cost     building 1.00 s · connect 1.00 s · closing 500 ms, 25 ms per request" in shown


def test_time_between_phases_is_explained_where_it_is_shown() -> None:
    story = Story()
    client = story.client()
    total = {"connect": Phase(0.0, 0.01), "total": Phase(0.0, 0.04)}
    story.exchange(client, story.connect(client, setup=total))
    assert "connect 10 ms · other 30 ms" in report(story.records)
    assert line_with(r"^other  ", report(story.records)).startswith("other  is the time between the phases")
    assert "\nother  " not in report(seed(3).records)


def busy_setup(connect: float | None, context: float) -> Story:
    story = Story()
    client = story.client()
    setup = {
        "dns": Phase(0.0, 0.5, None),
        "connect": Phase(0.5, 0.2, connect),
        "tls_context": Phase(0.7, 0.1, context),
        "total": Phase(0.0, 0.8, connect),
    }
    story.exchange(client, story.connect(client, setup=setup))
    return story


def test_a_busy_program_is_not_the_network() -> None:
    line = "busy     this program itself: 180 ms of 200 ms in connect"
    assert line in report(busy_setup(0.18, 0.1).records)


@pytest.mark.parametrize(
    "connect", [None, 0.0, 0.009, 0.019], ids=["unknown", "none", "little", "a small share"]
)
def test_otherwise_nothing_is_said(connect: float | None) -> None:
    assert "busy  " not in report(busy_setup(connect, 0.1).records)


def test_connections_of_processes_are_explained() -> None:
    records: list[Record] = []
    for pid in (11, 12):
        story = Story(pid=pid)
        story.header()
        story.throwaway()
        records += story.records
    shown = report(records)
    name = re.findall(r"^    (11#\d+) ", shown, re.MULTILINE)[0]
    assert f"{name}  is connection {name[3:]} of process 11." in shown.splitlines()
    assert "is connection" not in report(seed(3).records)


def test_statuses_from_400_on_and_retries_are_counted() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    for status, relation in ((200, None), (404, None), (503, None), (503, "retry"), (399, None)):
        story.exchange(client, connection, status=status, relation=relation)
    assert "    answers  1 × 404 · 2 × 503 · 1 retry\n" in report(story.records)


def test_an_awaited_answer_is_counted_when_it_arrives() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    first = story.exchange(client, connection, status=503, state="reading", finished_at=None)
    assert "answers  1 × 503\n" in report(story.records)
    story.records.append(replace(first, state=None, finished_at=story.now))
    assert "answers  1 × 503\n" in report(story.records)


def test_the_lines_that_sent_what_failed_or_was_not_read() -> None:
    story = Story()
    client = story.client()
    connection = story.connect(client)
    polls, lists = CallSite(LINE.file, 30, "poll"), CallSite(LINE.file, 40, "list_all")
    for _ in range(3):
        story.exchange(client, connection, call_site=polls, error="httpx.ReadTimeout", status=None)
    story.exchange(client, connection, call_site=lists, body_complete=False)
    story.exchange(client, connection, call_site=LINE, error="httpx.ReadError", status=None)
    shown = report(story.records)
    assert "    sent by  load.py:30 in poll  3 × ReadTimeout\n" in shown
    assert "    sent by  load.py:40 in list_all  1 × response not read\n" in shown
    assert shown.count("sent by") == 2  # the row has its own line above


def test_code_is_a_link_where_a_terminal_can_follow_one() -> None:
    records = seed(5).records
    link = "\x1b]8;;file:///srv/.../app/load.py#12\x1b\\load.py:12\x1b]8;;\x1b\\"
    assert report(records, color=True).count(link) == 3  # the verdict, the row, the finding
    assert "\x1b]8" not in report(records)


def test_a_line_is_not_a_link_to_another_of_the_same_beginning() -> None:
    story = Story()
    for line in (1, 12):
        story.throwaway(call_site=CallSite("/srv/app/load.py", line, "fetch"))
    shown = report(story.records, color=True)
    assert "load.py#1\x1b\\load.py:1\x1b" in shown
    assert "load.py#12\x1b\\load.py:12\x1b" in shown


def test_links_leave_the_programs_random_numbers_alone() -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    report(seed(5).records, color=True)
    assert random.random() == expected


@pytest.mark.parametrize("width", [72, 80])
def test_lines_of_findings_and_of_requests_in_progress_are_never_cut(width: int) -> None:
    story = Story()
    site = CallSite("/srv/.../app/a_module_of_a_long_name.py", 12, "Service.method_of_a_long_name")
    for _ in range(5):
        story.throwaway(call_site=site)
    client = story.client(call_site=site)
    connection = story.connect(client)
    story.exchange(
        client, connection, finished_at=None, status=None, state="awaiting_headers",
        url="http://api.test/a/long/path/of/many/parts", call_site=site,
    )  # fmt: skip
    shown = report(story.records, width)
    assert max(map(len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    assert "PS101 client per request a_module_of_a_long_name.py:12 in Service.method_of_a_long_name" in words
    assert re.search(r"many/parts \S+_name\.py:12 in Service\.method_of_a_long_name", words)
    assert "1 in progress → still open" in words


def test_the_line_of_a_finding_is_on_a_line_of_its_own_where_there_is_no_room() -> None:
    story = Story()
    for _ in range(5):
        story.throwaway(
            call_site=CallSite("/srv/app/prices_of_partners.py", 12, "Partners.fetch_all_of_them")
        )
    narrow = report(story.records, 72)
    assert "PS101 client per request\n  prices_of_partners.py:12 in Partners.fetch_all_of_them\n" in narrow
    wide = report(story.records, 120)
    assert "PS101 client per request  prices_of_partners.py:12 in Partners.fetch_all_of_them\n" in wide


def test_files_are_as_short_in_notes_as_everywhere() -> None:
    story = Story()
    story.throwaway()
    finding = Finding(
        1,
        "PS105",
        "pool exhausted",
        None,
        LINE,
        None,
        1,
        None,
        None,
        "Read it.",
        notes=[f"Held at {LINE.at()}."],
    )
    assert "  note    Held at load.py:12.\n" in text.words(overview.of(story.records), finding, 100)


def test_a_cost_of_almost_nothing_has_no_share() -> None:
    story = Story()
    client = story.client(built_in=0.0)
    connection = story.connect(client, connect=0.00007)
    for _ in range(1_000):
        story.exchange(client, connection)
    assert "    cost     connect 70 µs\n" in report(story.records)


def test_warnings_come_before_information() -> None:
    story = Story()
    for loop in range(1, 6):
        batch = story.client(
            "httpx.AsyncClient",
            built_in=9.0,
            loop=loop,
            call_site=CallSite("/srv/.../app/batch.py", 3, "main"),
        )
        story.exchange(batch, story.connect(batch, loop=loop), loop=loop)
        story.close(batch)
    for _ in range(40):
        story.throwaway()
    shown = report(story.records)
    assert -1 < shown.index("\nPS101 ") < shown.index("\nPS126 ")
