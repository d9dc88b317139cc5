"""What an allowed request can see: a page of everything live, and a report of its own connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from types import TracebackType
from typing import Final, NamedTuple, Self

from poolscope.block import Recording, record
from poolscope.instrumentor import snapshot
from poolscope.ledger.snapshot import Snapshot
from poolscope.records import Client, Connection, Exchange, Pool, Record
from poolscope.reports.printable import page
from poolscope.reports.renderer import Look, render, renderer
from poolscope.reports.words import count, plain, seconds
from poolscope.story.served import Served

PAGE: Final = "/-/poolscope"
"""The path of the debug page; with ``?json`` it is the snapshot."""
QUERY: Final = "poolscope"
COLUMNS: Final = 100
WITHOUT_MORE: Final = ("204", "206", "304")
"""Statuses of answers that have no body, or a part of one."""


class Answer(NamedTuple):
    """A whole answer."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header; empty without it."""
        return next((value for each, value in self.headers if each.lower() == name), "")

    def with_body(self, body: bytes) -> Answer:
        """The same answer with another body."""
        kept = [
            (name, value) for name, value in self.headers if name.lower() not in ("content-length", "etag")
        ]
        return Answer(self.status, [*kept, ("Content-Length", str(len(body)))], body)


class Watched:
    """Records a block, but reports only what was sent for one served request."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._recording: Recording = record(name="?poolscope")

    def __repr__(self) -> str:
        return f"<Watched {self._served!r}>"

    def __enter__(self) -> Self:
        self._recording.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._recording.__exit__(kind, error, traceback)

    def report(self) -> str:
        """The report of that one request."""
        pieces: list[str] = []
        own = self._own(list(self._recording.records()))
        render(own, renderer("text", pieces.append, Look(columns=COLUMNS)))
        return "".join(pieces)

    def _own(self, everything: list[Record]) -> Iterator[Record]:
        exchanges = [one for one in everything if isinstance(one, Exchange) and one.served == self._served.id]
        clients = {one.client for one in exchanges}
        connections = {one.connection for one in exchanges}
        opened_by = {one.id for one in exchanges}
        for one in everything:
            if isinstance(one, Exchange):
                wanted = one.served == self._served.id
            elif isinstance(one, Connection):
                wanted = one.id in connections or one.opened_by in opened_by
            elif isinstance(one, Client):
                wanted = one.id in clients
            elif isinstance(one, Pool):
                wanted = one.client in clients
            else:
                wanted = True
            if wanted:
                yield one


def appended(answer: Answer, report: str) -> Answer:
    """The answer with the report at its end, if it is complete, uncompressed text."""
    kind, _, rest = answer.header("content-type").partition(";")
    kind = kind.strip().lower()
    if kind not in ("text/html", "text/plain") or not _is_whole(answer):
        return answer
    more = f"\n<pre>{escape(report)}</pre>\n" if kind == "text/html" else f"\n{report}"
    coded = _coded(more, _charset(rest), "xmlcharrefreplace" if kind == "text/html" else "replace")
    return answer if coded is None else answer.with_body(answer.body + coded)


def _is_whole(answer: Answer) -> bool:
    if answer.header("content-encoding"):
        return False
    return answer.status[:3] not in WITHOUT_MORE


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return "utf-8"


def _coded(text: str, charset: str, errors: str) -> bytes | None:
    """In the answer's own charset; None where Python does not know it."""
    try:
        return text.encode(charset, errors)
    except (LookupError, ValueError):
        return None


def page_for(query: str) -> Answer:
    """The debug page, or with ``json`` the snapshot."""
    live = snapshot()
    if "json" in query.split("&"):
        return _answer("application/json", live.to_json())
    lines = page(_lines(live))
    style = "<style>body{font:14px/1.4 monospace;white-space:pre}</style>"
    return _answer(
        "text/html; charset=utf-8",
        f'<!doctype html><meta charset="utf-8"><title>poolscope</title>{style}<body>{escape(lines)}</body>',
    )


def _answer(kind: str, body: str) -> Answer:
    headers = [("Content-Type", kind), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
    return Answer("200 OK", headers, b"").with_body(body.encode())


def _lines(live: Snapshot) -> Iterable[str]:
    states = [connection.state for connection in live.connections]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("active", "idle", "connecting"))
    yield f"{count(len(live.clients), 'client')} · {count(len(live.connections), 'connection')}: {counts}"
    yield ""
    yield f"{count(len(live.waiters), 'request')} without a connection"
    for waiter in sorted(live.waiters, key=lambda each: -each.waited):
        yield f"  {seconds(waiter.waited):>8}  {waiter.method} {waiter.origin}  {waiter.call_site or ''}"
    yield ""
    yield f"{count(len(live.holders), 'request')} with a connection"
    for holder in sorted(live.holders, key=lambda each: -each.held):
        yield (
            f"  {seconds(holder.held):>8}  #{holder.connection} {plain(holder.state)}  "
            f"{holder.method} {holder.origin}  {holder.call_site or ''}"
        )
    yield ""
    for pool in live.pools:
        limit = "no limit" if pool.max_connections is None else f"at most {pool.max_connections}"
        open_now = sum(connection.pool == pool.id for connection in live.connections)
        yield f"pool {pool.id} of client {pool.client}: {open_now} open, {limit}"
