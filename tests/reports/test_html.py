"""The contents of the page, and how they are thinned; tests/pictures opens it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from poolscope.records import Connection, Exchange, Record
from poolscope.reports.html import renderer
from poolscope.reports.html.columns import LONGEST_TEXT, MORE, Texts, micros, whole
from poolscope.reports.html.sample import Sample
from poolscope.reports.renderer import Look
from tests.pictures.large import records
from tests.pictures.payload import column, facts_in, unpacked
from tests.reports.stories import Story


def page(records: Iterable[Record]) -> str:
    pieces: list[str] = []
    rendering = renderer(pieces.append, Look())
    for record in records:
        rendering.add(record)
    rendering.finish()
    return "".join(pieces)


def sampled(records: Iterable[Record], limit: int) -> Sample:
    sample = Sample(limit)
    for record in records:
        sample.add(record)
    sample.finish()
    return sample


def test_every_time_survives_the_packing() -> None:
    made = list(records(500))
    exchanges = [record for record in made if isinstance(record, Exchange)]
    text = page(made)
    for name in ("started_at", "sent_at", "headers_at", "finished_at"):
        assert column(text, f"exchanges.{name}") == [round(getattr(e, name) * 1e6) for e in exchanges]
    assert column(text, "exchanges.id") == [exchange.id for exchange in exchanges]
    urls = facts_in(text)["texts"]
    assert [urls[number] for number in column(text, "exchanges.url")] == [
        exchange.url for exchange in exchanges
    ]


def test_a_few_requests_are_all_kept() -> None:
    sample = sampled(records(500), limit=500)
    assert len(sample.exchanges) == 500
    assert len(sample.connections) == sample.lanes_seen
    assert repr(sample.ordinary).startswith("<Thinning 1 in 1 ")


def test_many_requests_are_thinned_evenly_and_no_trouble_is_lost() -> None:
    sample = sampled(records(20_000), limit=2_000)
    assert 500 < len(sample.exchanges) <= 2_000
    assert len(sample.connections) <= 2_000
    bad = [number for number in sample.exchanges.columns["remarkable"] if number]
    assert len(bad) == sample.remarkable.seen == 60
    starts = [start / 1e6 for start in sample.exchanges.columns["started_at"]]
    for quarter in range(4):
        assert any(quarter * 10 <= start < quarter * 10 + 10 for start in starts)


def test_every_kept_request_has_its_connection() -> None:
    sample = sampled(records(20_000), limit=2_000)
    lanes = set(sample.connections.columns["lane"])
    assert set(sample.exchanges.columns["lane"]) <= lanes
    assert set(sample.connections.columns["group"]) <= set(sample.groups.values())


def test_too_much_trouble_is_thinned_as_well() -> None:
    story = Story()
    client = story.client()
    for _ in range(1_000):
        story.failure(client)
    sample = sampled(story.records, limit=100)
    assert 25 <= len(sample.exchanges) <= 100
    assert len(sample.connections) <= 100
    assert sample.remarkable.step > 1


def test_the_page_says_what_it_left_out() -> None:
    story = Story()
    story.header()
    thinned = facts_in(page(story.records))["thinned"]
    assert thinned == {
        "requests": 0,
        "drawn": 0,
        "step": 1,
        "remarkable_step": 1,
        "connections": 0,
        "lanes": 0,
    }


def test_a_forward_proxy_serves_several_origins_on_one_connection() -> None:
    story = Story()
    story.header()
    client = story.client()
    connection = story.connect(client, "http://proxy.test")
    story.exchange(client, connection, origin="http://far.test")
    text = page(story.records)
    groups = [group["origin"] for group in facts_in(text)["groups"]]
    (group,) = column(text, "exchanges.group")
    assert groups[group] == "http://far.test"
    assert all(
        group["sums"] is not None
        for group in facts_in(text)["groups"]
        if group["origin"] != "http://proxy.test"
    )


def test_a_connection_that_was_open_before_has_a_lane() -> None:
    story = Story()
    story.header()
    connection = story.connect(None, setup={}, setup_started_at=None, opened_at=None)
    story.exchange(None, connection)
    made = page(story.records)
    assert len(column(made, "connections.lane")) == 1
    assert len([r for r in story.records if isinstance(r, Connection)]) == 1


def test_texts_are_cut_and_counted() -> None:
    texts = Texts()
    assert texts.number(None) == whole(None) == whole(-1)
    assert texts.number("a") == texts.number("a") == 0
    long = texts.number("x" * 10_000)
    assert len(texts.all()[long]) == LONGEST_TEXT
    assert MORE not in texts.all()
    assert micros(None) != micros(None)
    assert micros(1.0000004) == 1_000_000


def test_the_page_is_not_larger_than_necessary() -> None:
    raw = len(unpacked(page(records(2_000))))
    assert raw < 2_000 * 500


def test_a_later_record_replaces_one_in_progress() -> None:
    story = Story()
    story.header()
    connection = story.connect(client := story.client())
    over = story.exchange(client, connection)
    story.records[-1:] = [replace(over, finished_at=None, state="reading"), over]
    assert column(page(story.records), "exchanges.finished_at") == [micros(over.finished_at)]
