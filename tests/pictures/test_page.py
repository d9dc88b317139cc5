"""The HTML page in a real Chromium shows what the records say."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

import poolscope
from poolscope.records import CallSite, Connection, Exchange, Phase, Record
from poolscope.reports import overview
from poolscope.reports.html import own_script
from poolscope.reports.renderer import Look
from poolscope.reports.rows import Sums
from poolscope.reports.words import seconds
from tests.pictures.conftest import Open, settle
from tests.reports.stories import Story

pytestmark = pytest.mark.browser

KEPT = CallSite("/srv/.../app/kept.py", 7, "main")


def sick() -> list[Record]:
    """Eight requests with a client each, one kept client, a failure, a wait, and an answer still being read."""
    story = Story()
    story.header()
    for _ in range(8):
        story.throwaway(built_in=0.12)
    kept = story.client("requests.Session", call_site=KEPT)
    connection = story.connect(kept, connect=0.02, tls=0.05)
    for number in range(12):
        story.exchange(kept, connection, took=0.03, status=500 if number == 5 else 200)
        story.now += 0.5 if number == 3 else 0.01
    waited = story.exchange(kept, connection, took=0.2)
    story.records[-1] = replace(waited, pool_wait=0.15, sent_at=story.now - 0.04, headers_at=story.now - 0.01)
    story.failure(kept)
    reading = story.exchange(kept, connection, took=0.1)
    story.records[-1] = replace(
        reading, headers_at=story.now - 0.05, finished_at=None, body_complete=None, state="reading"
    )
    story.summary()
    return story.records


def last(records: Iterable[Record], kind: type[Any]) -> list[Any]:
    """The last record of each id."""
    chosen: list[Any] = [record for record in records if isinstance(record, kind)]
    return list({(record.pid, record.id): record for record in chosen}.values())


def x_of(page: Page, time: float) -> float:
    """The position of a time on the lanes, by the page's own axis."""
    shown = page.evaluate(
        "({...document.getElementById('lanes').dataset, width: document.getElementById('lanes').clientWidth})"
    )
    begin, end, gutter = (float(shown[name]) for name in ("from", "to", "gutter"))
    return gutter + (time * 1e6 - begin) / (end - begin) * (shown["width"] - gutter)


def row_of(page: Page, connection: int) -> dict[str, float]:
    """The top and height of a connection's lane on the canvas, scrolled into view."""
    found = page.evaluate(
        """(id) => {
        const { data, layout } = poolscope;
        const row = layout.rows.find((row) => row.lane < data.lanes && data.connections.id[row.lane] === id);
        const scroller = document.getElementById("scroller");
        scroller.scrollTop = row.y - 60;
        return { y: row.y - scroller.scrollTop, height: row.height };
        }""",
        connection,
    )
    settle(page)
    return found


def edges(page: Page, y: float, *colors: str) -> list[tuple[int, int]]:
    """The runs of pixels on a line that have one of the colours of the page's own palette."""
    return page.evaluate(
        """([y, names]) => {
        const canvas = document.getElementById("lanes");
        const style = getComputedStyle(document.documentElement);
        const probe = new OffscreenCanvas(1, 1).getContext("2d");
        const wanted = names.map((name) => {
            probe.fillStyle = style.getPropertyValue("--" + name).trim();
            probe.fillRect(0, 0, 1, 1);
            return probe.getImageData(0, 0, 1, 1).data.slice(0, 3).join();
        });
        const line = canvas.getContext("2d").getImageData(0, y, canvas.width, 1).data;
        const runs = [];
        for (let x = 0; x <= canvas.width; x++) {
            const mine = x < canvas.width && wanted.includes(line.slice(4 * x, 4 * x + 3).join());
            if (mine && (!runs.length || runs.at(-1)[1] !== x)) runs.push([x, x + 1]);
            else if (mine) runs.at(-1)[1] = x + 1;
        }
        return runs;
        }""",
        [round(y), colors],
    )


def extent(page: Page, y: float, color: str) -> tuple[int, int]:
    """From the first to the last pixel of a colour; a label may be in between."""
    runs = edges(page, y, color)
    return runs[0][0], runs[-1][1]


@pytest.mark.parametrize("zoom", [0, 2, 5])
def test_a_bar_is_at_its_time(show: Open, zoom: int) -> None:
    page = show(sick())
    connection = last(sick(), Connection)[8]
    page.focus("#lanes")
    page.evaluate("poolscope.timeline.show(1200000, 2600000)")
    for _ in range(zoom):
        page.keyboard.press("+")
    settle(page)
    row = row_of(page, connection.id)
    seen = edges(page, row["y"] + 5, "read", "await", "bad")
    width = page.evaluate("document.getElementById('lanes').clientWidth")
    assert seen
    expected = [
        (max(112.0, x_of(page, exchange.started_at)), min(float(width), x_of(page, exchange.finished_at)))
        for exchange in last(sick(), Exchange)
        if exchange.connection == connection.id and exchange.finished_at and not exchange.pool_wait
    ]
    expected = [(left, right) for left, right in expected if right > 113 and left < width - 1]
    assert expected
    for left, right in expected:
        assert any(abs(left - begin) <= 1 for begin, _ in seen), (left, seen)
        assert any(abs(right - end) <= 1 for _, end in seen), (right, seen)


def test_setup_and_building_are_at_their_time(show: Open) -> None:
    page = show(sick())
    connection = last(sick(), Connection)[0]
    page.evaluate("poolscope.timeline.show(0, 200000)")
    settle(page)
    row = row_of(page, connection.id)
    begin, end = extent(page, row["y"] + 5, "build")
    assert abs(begin - x_of(page, 0.0)) <= 1
    assert abs(end - x_of(page, 0.12)) <= 1
    begin, end = extent(page, row["y"] + 5, "connect")
    assert abs(begin - x_of(page, connection.setup["connect"].start)) <= 1
    assert abs(end - x_of(page, connection.opened_at)) <= 1


def table(page: Page, tab: str) -> list[dict[str, str]]:
    """Every row of every page of a table."""
    page.click(f"#tab-{tab}")
    rows: list[dict[str, str]] = []
    while True:
        rows += page.evaluate(
            """() => {
            const titles = [...document.querySelectorAll("#table thead th")].map((cell) => cell.innerText);
            return [...document.querySelectorAll("#table tbody tr")].map((row) =>
                Object.fromEntries([...row.children].map((cell, at) => [titles[at].replace(/ [↑↓]$/, ""), cell.innerText])));
            }"""
        )
        if page.is_disabled("#page-after"):
            return rows
        page.click("#page-after")


def ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.3f}"


def word(value: object) -> str:
    return "–" if value is None else str(value)


def many() -> list[Record]:
    story = Story()
    story.header()
    client = story.client("requests.Session")
    connection = story.connect(client)
    for _ in range(230):
        exchange = story.exchange(client, connection)
        story.records[-1] = replace(exchange, sent_at=exchange.started_at, headers_at=exchange.finished_at)
    story.disconnect(connection)
    story.summary()
    return story.records


@pytest.mark.parametrize("records", [sick(), many()], ids=["sick", "more than a page"])
def test_the_tables_are_the_records(show: Open, records: list[Record]) -> None:
    page = show(records)
    exchanges = {str(exchange.id): exchange for exchange in last(records, Exchange)}
    rows = table(page, "requests")
    assert sorted(row["Request"] for row in rows) == sorted(exchanges)
    for row in rows:
        exchange = exchanges[row["Request"]]
        assert row == {
            "Request": str(exchange.id),
            "Connection": word(exchange.connection and f"#{exchange.connection}"),
            "No.": word(exchange.request_number),
            "Method": exchange.method,
            "URL": word(exchange.url),
            "Status": word(exchange.status),
            "Error": word(exchange.error),
            "Reused": {True: "yes", False: "no", None: "–"}[exchange.reused],
            "Begun (ms)": ms(exchange.started_at),
            "Waited (ms)": ms(exchange.pool_wait),
            "Sent (ms)": ms(exchange.sent_at),
            "Headers (ms)": ms(exchange.headers_at),
            "Over (ms)": ms(exchange.finished_at),
            "Idle before (ms)": ms(exchange.idle_time),
            "Sent by": "–",
        }
    connections = {f"#{connection.id}": connection for connection in last(records, Connection)}
    rows = table(page, "connections")
    assert sorted(row["Connection"] for row in rows) == sorted(connections)
    for row in rows:
        connection = connections[row["Connection"]]
        assert row["Origin"] == connection.origin
        assert row["Requests"] == str(connection.requests)
        assert row["Setup from (ms)"] == ms(connection.setup_started_at)
        assert row["connect (ms)"] == ms(connection.setup["connect"].duration)
        assert row["tls (ms)"] == ms(connection.setup["tls"].duration if "tls" in connection.setup else None)
        assert (row["Open from (ms)"], row["Closed (ms)"]) == (
            ms(connection.opened_at),
            ms(connection.closed_at),
        )
        ended = connection.close_reason or ("setup_failed" if connection.failed_phase else "still_open")
        assert row["Ended by"] == ended.replace("_", " ")


def test_a_table_sorts_by_any_column(show: Open) -> None:
    page = show(many())
    for _ in range(2):
        page.click("text=Begun (ms)") if page.is_visible("#table") else page.click("#tab-requests")
    assert page.get_attribute("th:has-text('Begun')", "aria-sort") == "descending"
    starts = [float(row["Begun (ms)"]) for row in table(page, "requests")]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_accessibility_fault(show: Open, dark: bool) -> None:
    page = show(sick(), dark=dark, look=Look(source=True))
    for step in ("#tab-timeline", "#lanes", "#tab-requests", "#tab-connections"):
        page.click(step)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert len(found.response["passes"]) > 20


EVIL = "</script><img src=x onerror=alert(1)><!--{payload}{verdict}"


def test_text_stays_text(show: Open) -> None:
    evil = CallSite(f"/srv/{EVIL}.py", 3, EVIL)
    story = Story()
    story.header(program=EVIL, libraries={EVIL: EVIL})
    for _ in range(4):
        story.throwaway(
            kind=EVIL, call_site=evil, sdk_call_site=evil, origin=f"http://{EVIL}", reason=EVIL,
            exchange={"url": f"http://a/{EVIL}", "method": EVIL, "error": EVIL, "call_site": evil, "relation": EVIL},
        )  # fmt: skip
    client = story.client(EVIL, call_site=evil)
    connection = story.connect(client, EVIL, via=EVIL, peer_address=EVIL, local_address=EVIL, http_version=EVIL,
                               tls_version=EVIL, error=EVIL, failed_phase=EVIL, closed_by=EVIL)  # fmt: skip
    story.exchange(client, connection, url=EVIL)
    story.summary(hooks_disabled=[EVIL])
    page = show(story.records)
    assert EVIL in page.title()
    assert EVIL in page.inner_text(".program")
    for row in range(5):
        page.evaluate("(lane) => poolscope.timeline.choose({ lane, request: lane })", row)
        assert EVIL in page.inner_text("#facts")
        page.evaluate(
            "(lane) => document.getElementById('tip').replaceChildren(...poolscope.hint({ lane, request: -1 }))",
            row,
        )
    for tab in ("requests", "connections"):
        assert EVIL in str(table(page, tab))
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("document.scripts.length") == 1


def test_the_network_is_out_of_reach(show: Open) -> None:
    page = show(sick())
    policy = page.get_attribute("meta[http-equiv='Content-Security-Policy']", "content")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "//" not in policy.replace("sha256-", "").split("script-src")[0]
    # Without the page's own listeners for errors, as these attempts are ours.
    other = page.context.browser.new_page()  # type: ignore[union-attr]
    other.goto(page.url)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        attempts = (
            "(url) => fetch(url).then(() => 'went', () => 'refused')",
            """(url) => new Promise((end) => {
                Object.assign(new Image(), { onload: () => end("went"), onerror: () => end("refused"), src: url });
            })""",
        )
        outcomes = [other.evaluate(attempt, url) for attempt in attempts]
        other.close()
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert outcomes == ["refused", "refused"]


def test_a_finding_is_beside_its_lanes(show: Open) -> None:
    page = show(sick())
    assert "1 place to change" in page.inner_text("h1")
    card = page.inner_text("#cards article")
    assert "PS101" in card
    assert "load.py:12" in card
    heading = page.inner_text(".heading.found")
    assert "load.py:12" in heading
    assert "PS101 client per request" in heading
    page.click("text=Show its lanes")
    expect(page.locator("#shown")).to_have_text("8 connections and 8 requests shown of PS101")
    page.click(".heading .chip")
    assert page.evaluate("document.activeElement.id") == "finding-0"
    page.click("#show-all")
    expect(page.locator(".heading")).to_have_count(2)


def test_a_finding_over_several_servers_shows_their_lanes_only(show: Open) -> None:
    story = Story()
    for _ in range(5):
        for host in ("a.test", "b.test"):
            story.throwaway(kind="requests.get", origin=f"http://{host}")
    story.throwaway(kind="requests.get", origin="http://healthy.test")
    page = show(story.records)
    expect(page.locator("#cards article")).to_have_count(1)
    assert "The same with 1 other server" in page.inner_text("#cards article")
    page.click("text=Show its lanes")
    expect(page.locator("#shown")).to_have_text("10 connections and 10 requests shown of PS101")


def test_the_filters_show_only_what_they_promise(show: Open) -> None:
    page = show(sick())
    page.select_option("#by-line", label="kept.py:7")
    assert page.inner_text("#shown") == "2 connections and 15 requests shown"
    page.check("#by-trouble")
    assert page.inner_text("#shown") == "2 connections and 2 requests shown"
    page.click("#show-all")
    expect(page.locator("#shown")).to_have_text("10 connections and 23 requests shown")
    page.select_option("#by-reason", label="client close")
    assert {row["Ended by"] for row in table(page, "connections")} == {"client close"}
    page.select_option("#by-reason", label="all")
    page.fill("#by-text", "nowhere")
    assert page.inner_text("#shown") == "0 connections and 0 requests shown"


def test_pointing_and_clicking_show_the_facts(show: Open) -> None:
    page = show(sick())
    connection = last(sick(), Connection)[8]
    row = row_of(page, connection.id)
    exchange = next(e for e in last(sick(), Exchange) if e.connection == connection.id and e.status == 500)
    page.locator("#scroller").scroll_into_view_if_needed()
    box = page.locator("#lanes").bounding_box()
    assert box is not None
    at = (box["x"] + x_of(page, (exchange.started_at + exchange.finished_at) / 2), box["y"] + row["y"] + 10)
    page.mouse.move(*at)
    assert page.inner_text("#tip h3") == "GET 500"
    page.mouse.click(*at)
    facts = page.inner_text("#facts")
    assert "GET 500" in facts
    assert f"Connection #{connection.id}" in facts
    assert "kept.py:7" in facts
    assert "30 ms" in facts


def test_everything_can_be_reached_by_keyboard(show: Open) -> None:
    page = show(sick())
    page.focus("#lanes")
    page.keyboard.press("ArrowDown")
    assert "Connection #" in page.inner_text("#facts")
    first = page.inner_text("#facts h3")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#facts h3") != first
    page.keyboard.press(".")
    assert page.inner_text("#facts h3").startswith("GET 200")
    before = page.evaluate("({...poolscope.timeline.view})")
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    after = page.evaluate("({...poolscope.timeline.view})")
    assert after["to"] - after["from"] < before["to"] - before["from"]
    page.keyboard.press("0")
    assert page.evaluate("({...poolscope.timeline.view})") == before
    page.focus("#tab-timeline")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#table")
    assert page.evaluate("document.activeElement.id") == "tab-requests"


def test_what_is_in_progress_says_so(show: Open) -> None:
    page = show(sick())
    reading = last(sick(), Exchange)[-1]
    assert reading.finished_at is None
    (row,) = [row for row in table(page, "requests") if row["Request"] == str(reading.id)]
    assert (row["Over (ms)"], row["Status"]) == ("–", "200")
    page.click("#tab-timeline")
    page.evaluate(
        "(id) => poolscope.timeline.choose({ lane: 8, request: [...poolscope.data.exchanges.id].indexOf(id) })",
        reading.id,
    )
    assert "reading: not over when the page was made" in page.inner_text("#facts")


def test_a_later_record_replaces_the_earlier(show: Open) -> None:
    story = Story()
    story.header()
    client = story.client()
    connection = story.connect(client)
    over = story.exchange(client, connection)
    story.records[-1:] = [replace(over, finished_at=None, body_complete=None, state="reading"), over]
    story.summary()
    page = show(story.records)
    (row,) = table(page, "requests")
    assert row["Over (ms)"] == ms(over.finished_at)


def test_streams_are_below_each_other(show: Open) -> None:
    story = Story()
    story.header()
    client = story.client()
    connection = story.connect(client, http_version="2")
    for number in range(3):
        exchange = story.exchange(client, connection, took=0.5, stream_id=2 * number + 1)
        assert exchange.started_at is not None
        story.now = exchange.started_at + 0.1
    story.now += 1
    story.summary()
    page = show(story.records)
    row = row_of(page, connection.id)
    assert row["height"] == 44
    lines = [edges(page, row["y"] + 5 + 12 * track, "read", "await") for track in range(3)]
    starts = [runs[0][0] for runs in lines]
    assert starts == sorted(starts)
    assert len(set(starts)) == 3


def test_an_empty_recording_is_a_page_too(show: Open) -> None:
    story = Story()
    story.header()
    story.summary()
    page = show(story.records)
    assert "No HTTP connection" in page.inner_text("h1")
    assert table(page, "requests") == []
    assert show([]).inner_text("h1")


def test_source_is_shown_only_on_request(show: Open, tmp_path: Any) -> None:
    code = tmp_path / "code.py"
    code.write_text("import httpx\nsecret = 'in the source'\nhttpx.get(url)\n")
    story = Story()
    story.header()
    for _ in range(4):
        story.throwaway(call_site=CallSite(str(code), 3, "<module>"))
    story.summary()
    assert "in the source" not in show(story.records).content()
    assert "in the source" in show(story.records, look=Look(source=True)).inner_text("#cards")


def test_phases_of_setup_have_their_colours(show: Open) -> None:
    story = Story()
    story.header()
    connection = story.connect(story.client(), connect=0.1, tls=0.3)
    begin = connection.setup_started_at or 0.0
    connection.setup |= {"dns": Phase(begin, 0.05), "connect": Phase(begin + 0.05, 0.05)}
    story.summary()
    page = show(story.records)
    row = row_of(page, connection.id)
    for color in ("dns", "connect", "tls"):
        part = connection.setup[color]
        begin, end = extent(page, row["y"] + 5, color)
        assert abs(begin - x_of(page, part.start)) <= 1
        assert abs(end - x_of(page, part.start + part.duration)) <= 1


def test_a_notebook_shows_it_in_its_own_frame(browser: Browser, tmp_path: Path) -> None:
    with poolscope.record(name="In [3]") as seen:
        pass
    page = browser.new_page()
    page.set_content(f"<h2>a notebook</h2>{seen._repr_html_()}")
    frame = page.frame_locator("iframe[title='In [3] · poolscope']")
    expect(frame.locator("html[data-ready]")).to_be_attached()
    assert "No HTTP connection" in frame.locator("h1").inner_text()
    page.close()


def test_the_script_is_small() -> None:
    assert 10_000 < len(own_script().encode()) <= 64_000


def test_the_cost_is_that_of_the_text_report(show: Open) -> None:
    page = show(sick())
    seen = overview.of(sick())
    cost = Sums.over(seen.rows(), seen.all_connections()).cost
    tile = page.locator("dt", has_text="building, setup and closing").locator("xpath=..")
    assert seconds(cost) in tile.inner_text()
    (finding,) = [found for found in seen.findings() if found.code == "PS101"]
    heading = page.inner_text(".heading.found")
    assert heading.count(seconds(finding.cost)) == 2, "of the line, and of its finding"


def test_code_without_a_file_has_a_name_and_no_address(show: Open) -> None:
    story = Story()
    for _ in range(5):
        story.throwaway(call_site=CallSite("<python -c>", 2, "<module>"), kind="requests.get")
    page = show(story.records)
    assert "python -c, line 2." in page.inner_text("h1")
    assert page.inner_text("#cards article code") == "python -c, line 2"
    assert "python -c, line 2" in page.inner_text(".heading.found")
    assert "<python" not in page.inner_text("body")


def test_a_finding_at_a_line_in_no_file_shows_its_lanes(show: Open) -> None:
    story = Story()
    for site in (CallSite("<python -c>", 2, "<module>"), KEPT):
        client = story.client(
            "requests.Session", call_site=CallSite("/srv/.../app/clients.py", site.line, "f")
        )
        for _ in range(5):
            connection = story.connect(client)
            unread = site != KEPT
            story.exchange(client, connection, call_site=site, body_complete=not unread)
            story.disconnect(connection, "response_not_read" if unread else "client_close")
    page = show(story.records)
    assert page.inner_text("#cards article code") == "python -c, line 2"
    page.click("text=Show its lanes")
    expect(page.locator("#shown")).to_have_text("5 connections and 5 requests shown of PS103")
