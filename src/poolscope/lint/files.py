"""The Python files to look at, and their trees."""

from __future__ import annotations

import ast
import os
import platform
import stat
import tokenize
from collections.abc import Iterator, Sequence
from typing import Final

from poolscope.gate.source import LARGEST, parse
from poolscope.lint.libraries import NAMES
from poolscope.recording.errors import UsageError

_NOT_OURS: Final = frozenset(("__pycache__", "node_modules", "site-packages", "dist-packages"))
"""Folders of other people's code."""
_ENVIRONMENT: Final = "pyvenv.cfg"


class UnreadableError(Exception):
    """A file that cannot be read; the text is one clear line."""


def files(paths: Sequence[str], unread: list[str]) -> list[str]:
    """The files, and the .py files in folders, each once; UsageError for a path that does not exist. ``unread`` gets a
    sentence for each folder that cannot be listed.
    """
    found: dict[str, None] = {}
    for path in paths:
        there = _absolute(path)
        found |= dict.fromkeys(_below(there, unread) if os.path.isdir(there) else [there])
    return list(found)


def _absolute(path: str) -> str:
    try:
        os.lstat(path)
        return os.path.abspath(path)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"can't read {path!r}: {why}") from None


def _below(folder: str, unread: list[str]) -> Iterator[str]:
    def cannot_list(error: OSError) -> None:
        unread.append(f"can't read {error.filename!r}: {error.strerror}")

    for here, folders, names in os.walk(folder, onerror=cannot_list):
        folders[:] = sorted(name for name in folders if _is_own(os.path.join(here, name)))
        yield from (os.path.join(here, name) for name in sorted(names) if name.endswith(".py"))


def _is_own(folder: str) -> bool:
    name = os.path.basename(folder)
    is_environment = os.path.isfile(os.path.join(folder, _ENVIRONMENT))
    return not (name.startswith(".") or name in _NOT_OURS or is_environment)


def tree(path: str) -> ast.Module | None:
    """A file's tree; None if it mentions no HTTP library. UnreadableError if it cannot be parsed."""
    source = _source(path)
    if not any(name in source for name in NAMES):
        return None
    try:
        return parse(source)
    except SyntaxError as error:
        raise UnreadableError(_what(error, path)) from None
    except (ValueError, RecursionError, MemoryError):
        raise UnreadableError(f"{path}: Python cannot read this source") from None


def _source(path: str) -> str:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(f"{path}: is not a regular file")
        if status.st_size > LARGEST:
            raise UnreadableError(f"{path}: is larger than {LARGEST // 1_000_000} MB, and was left out")
        with tokenize.open(path) as file:
            return file.read()
    except OSError as error:
        raise UnreadableError(f"can't read {path!r}: {error.strerror}") from None
    except SyntaxError as error:
        raise UnreadableError(_what(error, path)) from None
    except UnicodeDecodeError as error:
        raise UnreadableError(f"{path}: is not {error.encoding} text") from None


def _what(error: SyntaxError, path: str) -> str:
    line = f":{error.lineno}" if error.lineno else ""
    return f"{path}{line}: is not Python {'.'.join(platform.python_version_tuple()[:2])}: {error.msg}"
