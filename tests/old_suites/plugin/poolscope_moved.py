"""A pytest plugin for old tests: makes each old name importable, as the name that README.md gives for it."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "README.md"
ROW = re.compile(r"^\| `(poolscope[\w.]+)` \| `(poolscope[\w.]+|–)` \|$", re.MULTILINE)


def _named(name: str) -> Any:
    """The module of that name, or the object in a module; None for a dash."""
    if name == "–":
        return None
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return getattr(importlib.import_module(module), attribute)


def _module(name: str) -> ModuleType:
    """The module of that name, created if it no longer exists, with the packages around it."""
    if name not in sys.modules:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            parent, _, last = name.rpartition(".")
            sys.modules[name] = ModuleType(name)
            setattr(_module(parent), last, sys.modules[name])
    return sys.modules[name]


for old, new in ROW.findall(PAGE.read_text("utf-8")):
    home, _, attribute = old.rpartition(".")
    setattr(_module(home), attribute, _named(new))
