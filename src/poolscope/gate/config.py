"""``[tool.poolscope]`` of the project's pyproject.toml: what to ignore, and where the baseline is."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from poolscope.gate.ignores import Ignore
from poolscope.recording.errors import UsageError

FILE: Final = "pyproject.toml"
TABLE: Final = "[tool.poolscope]"
KEYS: Final = ("baseline", "ignore")


@dataclass(slots=True, frozen=True)
class Config:
    """A project's configuration."""

    root: str
    """The folder in which paths in messages, baselines and fingerprints begin."""
    ignores: tuple[Ignore, ...] = ()
    baseline: str | None = None


def config_for(directory: str) -> Config:
    """The configuration of the nearest pyproject.toml at or above ``directory``; UsageError names a wrong setting."""
    path = _nearest(os.path.abspath(directory))
    if path is None:
        return Config(os.path.abspath(directory))
    return _config(_table(path), path)


def _nearest(directory: str) -> str | None:
    while True:
        path = os.path.join(directory, FILE)
        if os.path.isfile(path):
            return path
        above = os.path.dirname(directory)
        if above == directory:
            return None
        directory = above


def _table(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"can't read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    tool = tables.get("tool", {})
    table = tool.get("poolscope", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise UsageError(f"{path}: tool.poolscope is a table: write {TABLE}")
    return table


def _config(table: dict[str, Any], path: str) -> Config:
    place = f"{path} {TABLE}"
    for key in table:
        if key not in KEYS:
            raise UsageError(f"{place}: there is no setting {key!r} (there are {', '.join(KEYS)})")
    root = os.path.dirname(path)
    baseline = table.get("baseline")
    if baseline is not None and not isinstance(baseline, str):
        raise UsageError(f"{place}: baseline is a file name, not {baseline!r}")
    return Config(
        root,
        tuple(_ignores(table.get("ignore", []), place)),
        None if baseline is None else os.path.join(root, baseline),
    )


def _ignores(listed: Any, place: str) -> list[Ignore]:
    if not isinstance(listed, list):
        raise UsageError(f'{place}: ignore is a list, as in ignore = ["PS106@*.partner.example"]')
    found = []
    for number, text in enumerate(listed):
        if not isinstance(text, str):
            raise UsageError(f'{place} ignore[{number}] is a text, as in "PS101:scripts/*.py", not {text!r}')
        found.append(Ignore.parse(text, f"{place} ignore[{number}]"))
    return found
