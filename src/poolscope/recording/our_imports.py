"""Imports of ours while the program runs: its folder may have a ``rich.py``, or a module named like one of Python's."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, Final

from poolscope.genuine import get_ident

_PATH_AT_START: Final = tuple(sys.path)
_STANDARD: Final = (
    os.path.dirname(getattr(os, "__file__", "")) + os.sep,
    os.path.join(sys.base_exec_prefix, sys.platlibdir) + os.sep,
)
"""Folders of the standard library."""


@contextmanager
def our_imports() -> Iterator[None]:
    """Import from where poolscope was started. For the end of a program: no thread of it finds its own modules."""
    theirs, sys.path[:] = list(sys.path), _PATH_AT_START
    try:
        yield
    finally:
        sys.path[:] = theirs


class _OursFirst:
    """A finder that finds the standard library's modules for one thread, and nothing for the others."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        if path is not None or get_ident() != self._thread or name not in sys.stdlib_module_names:
            return None
        return PathFinder.find_spec(name, _PATH_AT_START)


@contextmanager
def standard_library_first() -> Iterator[None]:
    """Import the standard library's own modules in this block, while other threads of the program go on as ever."""
    finder = _OursFirst()
    theirs = {name: module for name, module in list(sys.modules.items()) if _is_theirs(name, module)}
    for name in theirs:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.modules.update(theirs)


def _is_theirs(name: str, module: Any) -> bool:
    """Whether a module of the program has the name of one of the standard library's."""
    file = getattr(module, "__file__", None) if name.partition(".")[0] in sys.stdlib_module_names else None
    return type(file) is str and not file.startswith(_STANDARD)
