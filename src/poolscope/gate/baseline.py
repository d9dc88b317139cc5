"""The baseline: findings that existed when a project began to check, and are accepted until they are fixed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from poolscope.findings.fingerprint import Fingerprint
from poolscope.recording.errors import CannotWriteError, UsageError
from poolscope.recording.replaced import replaced

VERSION: Final = 1


def read(path: str) -> frozenset[Fingerprint]:
    """The findings that a file accepts; UsageError names the file and the wrong entry."""
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except OSError as error:
        raise UsageError(f"can't read the baseline {path!r}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the baseline {path!r} is not JSON: {error}") from None
    if (
        not isinstance(data, dict)
        or data.get("version") != VERSION
        or not isinstance(data.get("accepted"), list)
    ):
        raise UsageError(
            f"{path!r} is not a baseline of version {VERSION}; --write-baseline {path} makes one"
        )
    return frozenset(
        _entry(entry, f"{path} accepted[{number}]") for number, entry in enumerate(data["accepted"])
    )


def _entry(entry: Any, place: str) -> Fingerprint:
    if not isinstance(entry, dict):
        raise UsageError(f"{place} is not an object with {', '.join(Fingerprint._fields)}")
    values = [entry.get(name) for name in Fingerprint._fields]
    for name, value in zip(Fingerprint._fields, values, strict=True):
        if not isinstance(value, str):
            raise UsageError(f"{place} has no text as its {name!r}")
    return Fingerprint(*map(str, values))


def write(path: str, fingerprints: Iterable[Fingerprint]) -> None:
    """Write today's findings to a file, sorted for readable diffs; UsageError if it cannot be written."""
    accepted = [fingerprint._asdict() for fingerprint in sorted(set(fingerprints))]
    text = json.dumps({"version": VERSION, "accepted": accepted}, indent=2) + "\n"
    try:
        with replaced(path, print) as put:
            put(text)
    except CannotWriteError as error:
        raise UsageError(f"the baseline: {error}") from None
