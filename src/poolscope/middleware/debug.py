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
from poolscope.reports.renderer import Look, renderer
from poolscope.reports.words import seconds
from poolscope.story.served import Served

PAGE: Final = "/-/poolscope"
"""The path of the debug page; with ``?json`` it is the snapshot."""
QUERY: Final = "poolscope"
COLUMNS: Final = 100


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
        rendering = renderer("text", pieces.append, Look(columns=COLUMNS))
        for each in self._own(list(self._recording.records())):
            rendering.add(each)
        rendering.finish()
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
    """The answer with the report at its end, if it is uncompressed text."""
    kind = answer.header("content-type").partition(";")[0].strip().lower()
    if kind not in ("text/html", "text/plain") or answer.header("content-encoding"):
        return answer
    more = f"\n<pre>{escape(report)}</pre>\n" if kind == "text/html" else f"\n{report}"
    return answer.with_body(answer.body + more.encode())


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
    yield f"{len(live.clients)} clients · {len(live.connections)} connections: {counts}"
    yield ""
    yield f"{len(live.waiters)} requests without a connection"
    for waiter in sorted(live.waiters, key=lambda each: -each.waited):
        yield f"  {seconds(waiter.waited):>8}  {waiter.method} {waiter.origin}  {waiter.call_site or ''}"
    yield ""
    yield f"{len(live.holders)} requests that hold a connection"
    for holder in sorted(live.holders, key=lambda each: -each.held):
        yield (
            f"  {seconds(holder.held):>8}  #{holder.connection} {holder.state}  "
            f"{holder.method} {holder.origin}  {holder.call_site or ''}"
        )
    yield ""
    for pool in live.pools:
        limit = "no limit" if pool.max_connections is None else f"at most {pool.max_connections}"
        open_now = sum(connection.pool == pool.id for connection in live.connections)
        yield f"pool {pool.id} of client {pool.client}: {open_now} open, {limit}"
