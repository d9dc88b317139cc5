"""Sheets as hooks would fill them, for tests that need exact values."""

from __future__ import annotations

from typing import Any

from poolscope.facts import Connection, Exchange, now
from poolscope.queue import FACTS

ORIGIN = ("http", "shop.example", None)


def exchange(origin: Any = ORIGIN, **slots: Any) -> Exchange:
    sheet = Exchange(origin, FACTS.epoch, slots.pop("started_at", now()))
    sheet.method, sheet.target = b"GET", b"/"
    for name, value in slots.items():
        setattr(sheet, name, value)
    return sheet


def connection(origin: Any = ORIGIN, **slots: Any) -> Connection:
    at = now()
    sheet = Connection(origin, FACTS.epoch)
    sheet.setup_started_at, sheet.opened_at = at - 0.03, at
    sheet.phases = [("dns", at - 0.03, at - 0.02), ("connect", at - 0.02, at)]
    sheet.peer, sheet.via, sheet.http_version = ("192.0.2.1", 80), "direct", "1.1"
    sheet.dns_name = origin[1]
    for name, value in slots.items():
        setattr(sheet, name, value)
    return sheet


def answered(sheet: Exchange, on: Connection, status: int = 200, **slots: Any) -> Exchange:
    on.requests += 1
    sheet.connection, sheet.request_number, sheet.reused = on, on.requests, on.requests > 1
    sheet.headers_at = now()
    sheet.status = on.last_status = status
    sheet.pool_wait = 0.0
    for name, value in slots.items():
        setattr(sheet, name, value)
    return sheet
