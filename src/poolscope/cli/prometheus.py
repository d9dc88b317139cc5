"""Queries a Prometheus, which may be any server: within limits of time and size, and with every answer checked."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from math import isfinite
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple

from poolscope.facts import now
from poolscope.ledger.urls import shown_url
from poolscope.recording.errors import CommandError

TOTAL_TIME: Final = 60.0
"""Seconds for all queries together, by default."""
LARGEST_ANSWER: Final = 4_000_000
"""Bytes of one answer: some 30,000 series."""
LARGEST_NUMBER: Final = 1e15
LONGEST_NAME: Final = 256


class PrometheusError(CommandError):
    """Prometheus could not be queried, or its answer is useless; the text says what to do."""


class Series(NamedTuple):
    """The labels of one answer and its value; None if that is not a number, or larger than a counter gets."""

    labels: dict[str, str]
    value: float | None


class Prometheus:
    """The Prometheus at ``url``; all queries together take at most ``patience`` seconds."""

    def __init__(self, url: str, patience: float = TOTAL_TIME) -> None:
        self._url = url
        self.url = shown_url(url)
        """As it may be shown."""
        self._patience = patience
        self._deadline = now() + patience

    def __repr__(self) -> str:
        return f"<Prometheus at {self.url}, {self._deadline - now():.1f} s left>"

    def query(self, expression: str) -> Iterator[Series]:
        """The current value of ``expression``."""
        found = self._json(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        try:
            for series in found["data"]["result"]:
                labels = {_name(key): _name(value) for key, value in series["metric"].items()}
                yield Series(labels, _number(series["value"][1]))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise self._no_prometheus(error) from None

    def takes_otlp(self) -> bool | None:
        """Whether its OTLP receiver is on; None if it does not say."""
        try:
            flag = self._json("/api/v1/status/flags")["data"]["web.enable-otlp-receiver"]
        # A proxy may hide its flags, and an older version has no such flag: then nothing is known.
        except (PrometheusError, KeyError, TypeError):
            return None
        return {"true": True, "false": False}.get(str(flag))

    def _json(self, path: str) -> Any:
        try:
            return json.loads(self._fetched(path))
        except (ValueError, RecursionError) as error:
            raise self._no_prometheus(error) from None

    def _no_prometheus(self, error: Exception) -> PrometheusError:
        why = f"{type(error).__name__}: {str(error)[:LONGEST_NAME]}"
        return PrometheusError(
            f"{self.url} is not a Prometheus: its answer is not the JSON of Prometheus's API ({why})"
        )

    def _fetched(self, path: str) -> bytes:
        """The body of an answer, read in a separate thread, so that the time limit includes lookups and headers."""
        done: SimpleQueue[bytes | Exception] = SimpleQueue()
        Thread(target=self._fetch, args=(path, done), daemon=True).start()
        try:
            answer = done.get(timeout=max(0.0, self._deadline - now()))
        except Empty:
            raise PrometheusError(f"no answer from {self.url} within {self._patience:g} s in total") from None
        if isinstance(answer, Exception):
            raise self._in_words(answer) from None
        if len(answer) > LARGEST_ANSWER:
            raise PrometheusError(f"{self.url} answered with more than {LARGEST_ANSWER:,} bytes")
        return answer

    def _fetch(self, path: str, done: SimpleQueue[bytes | Exception]) -> None:
        try:
            # Our caller has checked that the address is http; a redirect to another scheme is refused below.
            with _opener().open(self._url.rstrip("/") + path, timeout=self._patience) as answer:
                done.put(answer.read(LARGEST_ANSWER + 1))
        except Exception as error:
            done.put(error)

    def _in_words(self, error: Exception) -> Exception:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            return PrometheusError(
                f"{self.url} answered {error.code}: is this Prometheus's own address, without a path?"
            )
        if isinstance(error, OSError | http.client.HTTPException | ValueError):
            reason = getattr(error, "reason", error)
            return PrometheusError(f"no answer from {self.url} ({reason}): is Prometheus running there?")
        return error


def _opener() -> urllib.request.OpenerDirector:
    """Urllib's usual opener, without the other schemes that a redirect could lead to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _name(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"a label is text, not {type(value).__name__}")
    return value if len(value) <= LONGEST_NAME else value[: LONGEST_NAME - 1] + "…"


def _number(value: Any) -> float | None:
    if type(value) is not str:
        raise TypeError(f"a value is a number in quotes, not {type(value).__name__}")
    number = float(value)
    return number if isfinite(number) and abs(number) <= LARGEST_NUMBER else None
