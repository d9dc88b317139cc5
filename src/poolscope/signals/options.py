"""How much is sent: each setting is a keyword of `instrument()`, an environment variable and a field of a file. A
wrong keyword raises. A wrong variable or field is named in one line on stderr, and the default is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args, get_type_hints

from poolscope.signals.redaction import excluding

SetupSpans = Literal["full", "some", "errors", "off"]
SpanFacts = Literal["lean", "full"]
SpanNames = Literal["short", "dotnet"]
EventsEmitted = Literal["all", "problems", "off"]
Buckets = Literal["few", "all"]
ExceptionRecord = Literal["span", "logs", "logs/dup"]

DEFAULT_USED: Final = "; the default is used"
PREFIX: Final = "OTEL_PYTHON_POOLSCOPE_"
EXCEPTIONS: Final = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"


@dataclass(frozen=True, slots=True)
class Options:
    """The settings, each with its default."""

    setup_spans: SetupSpans = "some"
    """Spans of a connection's setup and of waiting for a pool: all, those that failed and some others, those that failed, or none."""
    span_facts: SpanFacts = "lean"
    """Constant facts of a connection: on its setup span, or on each request's span as well."""
    span_links: bool = True
    """Whether a request that reuses a connection links to the span of its setup."""
    span_names: SpanNames = "short"
    """``dotnet``: with the address or name that .NET puts into them."""
    events: EventsEmitted = "problems"
    """``problems``: those of failures and findings only; ``all``: every connection's close as well."""
    metric_buckets: Buckets = "few"
    """``all``: the buckets that the conventions advise, and buckets for each phase of setup."""
    max_servers: int = 1_000
    """How many servers the metrics distinguish; later ones share ``other``."""
    excluded_servers: str | None = None
    """Comma-separated patterns, ``*.internal`` or ``host:port``: no spans, no events; in metrics they share ``other``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The chosen settings, and the errors in the others."""

    options: Options
    exceptions: ExceptionRecord
    complaints: tuple[str, ...] = ()


EVERYTHING: Final[Mapping[str, Any]] = {"setup_spans": "full", "events": "all"}
"""The defaults of a run that somebody looks at."""
_NO_DEFAULTS: Final[Mapping[str, Any]] = {}
NAMES: Final = tuple(field.name for field in fields(Options))
IN_FILES: Final = (*NAMES, "excluded_urls")
"""The settings that a file may have: the other arguments of `instrument()` are objects."""
_KINDS: Final = get_type_hints(Options)


def settle(keywords: Mapping[str, Any], defaults: Mapping[str, Any] = _NO_DEFAULTS) -> Settings:
    """The settings by keyword, else by environment variable, else by default; ValueError for a wrong keyword."""
    said, complaints = _from_environment()
    chosen = {**defaults, **said}
    for name, value in keywords.items():
        if value is not None:
            chosen[name] = _checked(name, name, value)
    record, complaint = _exceptions()
    return Settings(Options(**chosen), record, (*complaints, *complaint))


def sane(given: Mapping[str, Any], known: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """The valid ones of ``given`` from a file, if they are ``known``, and a message for each other one."""
    right: dict[str, Any] = {}
    complaints = []
    for name, value in given.items():
        if name not in known or (name not in IN_FILES and isinstance(value, str)):
            complaints.append(f"{name} is not a setting, and ignored")
        elif value is not None:
            try:
                right[name] = _from_file(name, value)
            except (TypeError, ValueError) as error:
                complaints.append(f"{error}{DEFAULT_USED}")
    return right, complaints


def _from_file(name: str, value: Any) -> Any:
    if name == "excluded_urls":
        excluding(value)
    if name not in NAMES:
        return value
    if value is False and "off" in get_args(_KINDS[name]):
        value = "off"  # as YAML reads an off without quotes
    return _checked(name, name, value)


def _from_environment() -> tuple[dict[str, Any], list[str]]:
    chosen: dict[str, Any] = {}
    known = {PREFIX + name.upper() for name in IN_FILES}
    unknown = [name for name in sorted(os.environ) if name.startswith(PREFIX) and name not in known]
    complaints = [f"{name} is not a setting, and ignored" for name in unknown]
    for name in NAMES:
        variable = PREFIX + name.upper()
        text = os.environ.get(variable, "").strip()
        if not text:
            continue
        try:
            chosen[name] = _checked(name, variable, _READ.get(_KINDS[name], str)(text))
        except ValueError as error:
            complaints.append(f"{error}{DEFAULT_USED}")
    return chosen, complaints


def _exceptions() -> tuple[ExceptionRecord, tuple[str, ...]]:
    asked = os.environ.get(EXCEPTIONS, "").strip()
    for known in get_args(ExceptionRecord):
        if asked == known and known != "span":
            return known, ()
    return "span", (f"{EXCEPTIONS} is {asked!r}, not logs or logs/dup{DEFAULT_USED}",) if asked else ()


def _flag(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


_READ: Final[dict[Any, Callable[[str], Any]]] = {bool: _flag, int: _number}


def _checked(name: str, called: str, value: Any) -> Any:
    """``value``, if the setting ``name`` allows it; ``called`` names the place for messages."""
    kind = _KINDS[name]
    if kind is bool:
        right, wanted = isinstance(value, bool), "true or false"
    elif kind is int:
        right, wanted = type(value) is int and value > 0, "a whole number above 0"
    elif get_args(kind) and str not in get_args(kind):
        words = get_args(kind)
        right, wanted = value in words, f"{', '.join(words[:-1])} or {words[-1]}"
    else:
        right, wanted = isinstance(value, str), "a comma-separated text"
    if not right:
        raise ValueError(f"{called} is {value!r}, not {wanted}")
    return value
