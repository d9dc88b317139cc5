"""Closes, failures and findings as log records with an event name, at a bounded rate."""

from __future__ import annotations

import re
from time import time_ns
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context

from poolscope import records
from poolscope.facts import DEFAULT_PORTS, now
from poolscope.signals import errors, names, table
from poolscope.signals.describe import Attributes, peer
from poolscope.signals.limit import Limit
from poolscope.signals.options import EventsEmitted, ExceptionRecord
from poolscope.signals.redaction import method
from poolscope.signals.sums import Broken, Closed, Failed, Unanswered


class Events:
    """Sends events to one logger."""

    def __init__(
        self, logger: Logger, record: ExceptionRecord = "span", emitted: EventsEmitted = "problems"
    ) -> None:
        self._logger = logger
        self._emitted = emitted
        self._records_exceptions = record != "span"
        self._limits = {name: Limit() for name in table.EVENTS}

    def __repr__(self) -> str:
        return f"<Events to {self._logger!r}, {self._limits}>"

    def closed(self, closed: Closed, context: Context) -> None:
        """A connection was closed; ``context`` is that of its setup."""
        record = closed.record
        if self._emitted == "problems" and record.error_type is None:
            return
        at = record.closed_at if record.closed_at is not None else now()
        about: Attributes = {
            **closed.server,
            names.CONNECTION_ID: record.id,
            names.REQUESTS: record.requests,
            **peer(_address(record)),
        }
        for name, value in (
            (names.CLOSE_REASON, record.close_reason),
            (names.CLOSED_BY, record.closed_by),
            (names.VIA, record.via),
            (names.PROTOCOL_VERSION, record.http_version),
            (names.ERROR_TYPE, record.error_type),
        ):
            if value is not None:
                about[name] = value
        if record.opened_at is not None:
            about[names.AGE] = max(at - record.opened_at, 0.0)
        if record.idle_since is not None:
            about[names.IDLE_TIME] = max(at - record.idle_since, 0.0)
        self._send(names.CONNECTION_CLOSED, at, about, context, SeverityNumber.INFO, _closed(closed))

    def setup_failed(self, failed: Failed, context: Context) -> None:
        """A connection could not be set up; ``context`` is that of its setup."""
        sheet, failure = failed.sheet, failed.failure
        about: Attributes = {
            **failed.server,
            names.CONNECTION_ID: sheet.id,
            names.PHASE: sheet.failed_phase,
            names.ERROR_TYPE: failure.type,
            **peer(sheet.peer),
        }
        if sheet.via is not None:
            about[names.VIA] = sheet.via
        at = sheet.closed_at if sheet.closed_at is not None else now()
        body = f"connection {sheet.id}: {errors.sentence(failure, sheet.origin, sheet.failed_phase)}"
        self._send(names.SETUP_FAILED, at, about, context, SeverityNumber.WARN, body)

    def broken(self, broken: Broken, context: Context) -> None:
        """The rest of a response never came; ``context`` is that of its request."""
        sheet, failure = broken.sheet, broken.failure
        about: Attributes = {
            **broken.server,
            names.METHOD: method(sheet.method),
            names.ERROR_TYPE: failure.type,
        }
        if sheet.status is not None:
            about[names.STATUS] = sheet.status
        if sheet.connection is not None:
            about[names.CONNECTION_ID] = sheet.connection.id
        at = sheet.finished_at if sheet.finished_at is not None else now()
        body = f"response {sheet.status}: {errors.sentence(failure, sheet.origin)}"
        self._send(names.RESPONSE_FAILED, at, about, context, SeverityNumber.WARN, body)

    def exception(self, unanswered: Unanswered, context: Context) -> None:
        """A request failed; ``context`` is that of its span."""
        if not self._records_exceptions:
            return
        sheet, failure = unanswered.sheet, unanswered.failure
        said = errors.sentence(failure, sheet.origin)
        about: Attributes = {
            **unanswered.server,
            names.METHOD: method(sheet.method),
            names.ERROR_TYPE: failure.type,
            names.EXCEPTION_TYPE: sheet.error or failure.type,
            names.EXCEPTION_MESSAGE: said,
        }
        at = sheet.finished_at if sheet.finished_at is not None else now()
        self._send(names.EXCEPTION, at, about, context, SeverityNumber.WARN, said)

    def finding(self, finding: records.Finding, context: Context) -> None:
        """A habit was recognised."""
        about: Attributes = {
            names.FINDING_CODE: finding.code,
            names.FINDING_COUNT: finding.count,
            names.FINDING_FIX: finding.fix,
        }
        if finding.cost is not None:
            about[names.FINDING_COST] = finding.cost
        if finding.saving is not None:
            about[names.FINDING_SAVING] = finding.saving
        if finding.origin is not None:
            about.update(_server(finding.origin))
        site = finding.call_site or finding.sdk_call_site
        if site is not None:
            about[names.CODE_FUNCTION] = site.function
            if site.has_file:
                about[names.CODE_FILE] = site.file
            about[names.CODE_LINE] = site.line
        severity = SeverityNumber.WARN if finding.severity == "warning" else SeverityNumber.INFO
        self._send(names.FINDING, now(), about, context, severity, finding.sentence or finding.title)

    def _send(
        self,
        name: str,
        at: float,
        about: Attributes,
        context: Context,
        severity: SeverityNumber,
        body: str | None = None,
    ) -> None:
        if self._emitted == "off":
            return
        limit = self._limits[name]
        if not limit.allows(at):
            return
        if limit.withheld:
            about[names.WITHHELD], limit.withheld = limit.withheld, 0
        observed = time_ns()
        self._logger.emit(
            timestamp=observed - int((now() - at) * 1e9),
            observed_timestamp=observed,
            context=context,
            severity_number=severity,
            severity_text=severity.name,
            body=body,
            attributes=about,
            event_name=name,
        )


def _closed(closed: Closed) -> str:
    """One line for people: log stores show the body."""
    record, server = closed.record, closed.server
    place = errors.place(server[names.SERVER_ADDRESS], server.get(names.SERVER_PORT))
    served = f"{record.requests} request{'' if record.requests == 1 else 's'}"
    by = f" by {record.closed_by}" if record.closed_by else ""
    reason = f" ({record.close_reason})" if record.close_reason else ""
    return f"connection {record.id} to {place} closed{by}{reason} after {served}"


def _address(record: records.Connection) -> Any:
    if record.peer_port is None:
        return record.peer_address
    return (record.peer_address, record.peer_port)


_ORIGIN: Final = re.compile(r"^[a-z][a-z0-9+.-]*://")


def _server(origin: str) -> Attributes:
    if not _ORIGIN.match(origin):
        return {}
    parts = urlsplit(origin)
    about: Attributes = {names.SERVER_ADDRESS: parts.hostname or ""}
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    if port is not None:
        about[names.SERVER_PORT] = port
    return about
