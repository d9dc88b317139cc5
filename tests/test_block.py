"""``with poolscope.record() as seen``: the report of a block of code."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from pathlib import Path

import httpx
import pytest
import requests
import urllib3

import poolscope
from poolscope import records
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.queue import FACTS
from poolscope.recording import stream
from poolscope.recording.reader import Reading
from poolscope.story.live import LIVE
from tests.pictures.payload import facts_in
from tests.servers import Running


def sick(url: str, times: int = 5) -> None:
    for _ in range(times):
        requests.get(url, timeout=10)


def test_the_report_of_a_block(server: Running) -> None:
    with poolscope.record() as seen:
        sick(server.url("/fixed/"))
    report = seen.report()
    assert "test_block.py" in report
    assert "5 requests" in report
    assert "PS101" in report
    assert [finding.code for finding in seen.findings] == ["PS101"]
    assert not INSTRUMENTOR.active


def test_within_the_block_it_reports_what_happened_so_far(server: Running) -> None:
    with poolscope.record() as seen, requests.Session() as session:
        session.get(server.url("/fixed/"))
        assert "1 request" in seen.report()
        session.get(server.url("/fixed/"))
        assert "2 requests" in seen.report()
    assert "2 requests" in seen.report()


def test_a_failing_block_raises_and_is_reported(server: Running) -> None:
    with pytest.raises(ZeroDivisionError), poolscope.record() as seen:
        sick(server.url("/fixed/"), 1)
        raise ZeroDivisionError
    assert "1 request" in seen.report()
    assert "exit code 1" in seen.report()


def test_every_format_goes_to_a_file(server: Running, tmp_path: Path) -> None:
    with poolscope.record(name="the block") as seen:
        sick(server.url("/fixed/"))
    seen.to_html(tmp_path / "page.html", source=True)
    facts = facts_in((tmp_path / "page.html").read_text("utf-8"))
    assert facts["totals"]["requests"] == 5
    assert any("requests.get(url" in line for _, lines in facts["source"].values() for line in lines)
    assert facts["words"][0] == "the block"
    seen.to("har", tmp_path / "har")
    assert len(json.loads((tmp_path / "har").read_text("utf-8"))["log"]["entries"]) == 5


def test_an_unknown_format_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with poolscope.record() as seen:
        pass
    with pytest.raises(ValueError, match=r"no format 'rows' \(there are text, json, "):
        seen.to("rows", tmp_path / "page")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_recording_is_of_one_block(server: Running) -> None:
    """A second one would be lost: the report is that of the first."""
    seen = poolscope.record()
    with seen:
        sick(server.url("/fixed/"), 1)
        with pytest.raises(RuntimeError, match="one block"), seen:
            pass
    with pytest.raises(RuntimeError, match="one block"), seen:
        pass
    assert "1 request" in seen.report()
    assert not INSTRUMENTOR.active


def test_a_saved_block_is_a_recording(server: Running, tmp_path: Path) -> None:
    with poolscope.record() as seen:
        sick(server.url("/fixed/"))
    path = tmp_path / "block.jsonl"
    seen.save(str(path))
    reading = Reading(str(path))
    kinds = [record.type for record in reading.records()]
    assert (kinds[0], kinds[-2:]) == ("header", ["finding", "summary"])
    assert kinds.count("exchange") == 5
    assert reading.trouble is None


def test_only_the_requested_origins(server: Running) -> None:
    with poolscope.record(origins=("*.example.com",)) as seen:
        sick(server.url("/fixed/"), 2)
    assert [record.type for record in seen.records()] == ["header", "summary"]


def test_secrets_stay_out_unless_requested(server: Running) -> None:
    for keep, kept in ((False, False), (True, True)):
        with poolscope.record(keep_query=keep) as seen:
            sick(server.url("/fixed/") + "?key=sesame", 1)
        assert ("sesame" in "".join(map(records.to_json, seen.records()))) == kept


def test_tasks_and_threads_of_the_block_are_in_it(server: Running) -> None:
    async def several() -> None:
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(client.get(server.url("/fixed/")) for _ in range(4)))

    with poolscope.record() as seen:
        asyncio.run(several())
        thread = threading.Thread(target=sick, args=(server.url("/fixed/"), 3))
        thread.start()
        thread.join()
    assert sum(isinstance(record, records.Exchange) for record in seen.records()) == 7


def test_a_recording_inside_another(server: Running) -> None:
    with poolscope.record() as outer:
        sick(server.url("/fixed/"), 1)
        with poolscope.record() as inner:
            sick(server.url("/fixed/"), 2)
    assert ("3 requests" in outer.report(), "2 requests" in inner.report()) == (True, True)


def test_an_answer_from_an_earlier_block_is_not_counted_again(server: Running) -> None:
    with httpx.Client() as httpx_client, requests.Session() as session, urllib3.PoolManager() as manager:
        request = httpx_client.build_request("GET", server.url("/size/400000/1"))
        with poolscope.record():
            one = httpx_client.send(request, stream=True)
            two = session.get(server.url("/size/400000/2"), stream=True, timeout=10)
            three = manager.request("GET", server.url("/size/400000/3"), preload_content=False)
        with poolscope.record() as seen:
            one.read()
            two.raw.drain_conn()
            three.drain_conn()
            httpx_client.get(server.url("/fixed/1"))
            session.get(server.url("/fixed/2"), timeout=10)
            manager.request("GET", server.url("/fixed/3"))
    exchanges = [record for record in seen.records() if isinstance(record, records.Exchange)]
    assert [exchange.in_flight for exchange in exchanges] == [1, 1, 1]
    connections = {record.id for record in seen.records() if isinstance(record, records.Connection)}
    assert connections == {exchange.connection for exchange in exchanges}


def test_blocks_leave_nothing_for_the_next(server: Running) -> None:
    with httpx.Client() as client, requests.Session() as session:
        sizes = set()
        for _ in range(3):
            with poolscope.record():
                client.get(server.url("/fixed/"))
                session.get(server.url("/fixed/"), timeout=10)
            sizes.add((len(LIVE.clients), len(LIVE.connections), len(LIVE.peers)))
    assert len(sizes) == 1


def test_very_many_records_go_to_a_file_that_is_removed_with_it(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("poolscope.block.IN_MEMORY", 1_000)
    monkeypatch.setattr("poolscope.block.PIECE", 500)
    with poolscope.record() as seen:
        sick(server.url("/fixed/"), 30)
    assert "30 requests" in seen.report()
    assert seen._lines._file._rolled  # type: ignore[attr-defined]
    del seen
    gc.collect()  # an open file left behind would be a ResourceWarning, and so an error


def test_it_shows_itself_in_a_notebook(server: Running) -> None:
    with poolscope.record() as seen:
        sick(server.url("/fixed/"))
    shown = seen._repr_html_()
    assert shown.startswith("<iframe")
    assert 'sandbox="allow-scripts"' in shown
    assert "<script" not in shown
    assert repr(seen).startswith("<Recording test_block.py:")
    assert repr(seen).endswith(": requests=5 connections=5 clients=5>")


def test_a_page_too_large_for_a_notebook_is_text(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poolscope.block.SHOWN", 1_000)
    with poolscope.record() as seen:
        sick(server.url("/fixed/"))
    assert "PS101" in seen._repr_html_()
    assert "iframe" not in seen._repr_html_()


def test_no_record_comes_before_the_header(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a while: it looks versions up. Another thread may read or drain meanwhile."""
    usual = stream.libraries

    def sends_and_drains() -> None:
        httpx.get(server.url("/fixed/"))
        with FACTS.settled(timeout=0.05):
            pass

    def slowly() -> dict[str, str]:
        other = threading.Thread(target=sends_and_drains)
        other.start()
        other.join()
        return usual()

    monkeypatch.setattr(stream, "libraries", slowly)
    with poolscope.record() as seen:
        pass
    kinds = [record.type for record in seen.records()]
    assert kinds[0] == "header"
    assert kinds.count("header") == 1
