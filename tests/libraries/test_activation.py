"""Hooks go in when the library is imported, early or late, once per module; then the import hook is removed."""

from __future__ import annotations

import importlib
import importlib.resources
import sys
import types
from typing import Any

import pytest

from poolscope.libraries import activation, known
from poolscope.libraries.known import Library
from poolscope.libraries.point import Point


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library that nobody has imported yet, and a hooks file for it that counts."""
    folder = tmp_path / "newlib"
    folder.mkdir()
    (folder / "__init__.py").write_text("import newlib.deep\nvalue = newlib.deep.value\n")
    (folder / "deep.py").write_text("def value():\n    return 1\n")
    (folder / "data.txt").write_text("data")
    monkeypatch.syspath_prepend(str(tmp_path))
    hooks: Any = types.ModuleType("newlib_hooks")
    hooks.installed = []

    hooks.calls = []

    def points(module):
        assert module.value() == 1, "the library is complete when the hooks go in"
        hooks.installed.append(module)
        return [Point(module, "value", before=called)]

    def called():
        hooks.calls.append("called")

    hooks.points = points
    monkeypatch.setitem(sys.modules, "newlib_hooks", hooks)
    monkeypatch.setattr(
        activation, "LIBRARIES", {"newlib": Library("newlib_hooks"), "absentlib": Library("newlib_hooks")}
    )
    yield hooks
    for name in ("newlib", "newlib.deep"):
        sys.modules.pop(name, None)


@pytest.fixture
def active():
    active = activation.Activation()
    active.start()
    yield active
    active.stop()


def test_a_library_imported_later_is_hooked_right_after(library, active):
    assert library.installed == []
    module = importlib.import_module("newlib")
    assert library.installed == [module]
    assert module.value() == 1
    assert library.calls == ["called"]


def test_a_library_imported_before_is_hooked_at_once(library):
    module = importlib.import_module("newlib")
    active = activation.Activation()
    active.start()
    module.value()
    assert library.calls == ["called"]
    active.stop()
    module.value()
    assert library.calls == ["called"]


def test_the_module_keeps_its_own_loader(library, active):
    module = importlib.import_module("newlib")
    assert type(module.__loader__).__name__ == "SourceFileLoader"
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__
    assert (importlib.resources.files("newlib") / "data.txt").read_text() == "data"
    assert importlib.reload(module).value() == 1


def test_a_library_that_is_not_there_stays_so(library, active):
    with pytest.raises(ModuleNotFoundError, match="absentlib"):
        importlib.import_module("absentlib")


def test_two_names_for_one_module_are_hooked_once(library, active):
    module = importlib.import_module("newlib")
    active.install("absentlib", module)
    assert library.installed == [module]


def test_nothing_is_left_behind(library):
    finders = list(sys.meta_path)
    active = activation.Activation()
    active.start()
    module = importlib.import_module("newlib")
    active.stop()
    assert sys.meta_path == finders
    assert not hasattr(module.value, "__wrapped__")


def test_a_failing_install_does_not_reach_the_import(library, active):
    def broken(module):
        raise RuntimeError("this version is unknown")

    library.points = broken
    assert importlib.import_module("newlib").value() == 1


def test_the_traceback_of_a_failing_import_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "brokenlib.py").write_text("import math\n1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def fail():
        with pytest.raises(ZeroDivisionError) as raised:
            exec("import brokenlib")
        return [frame.path for frame in raised.traceback][1:]

    bare = fail()
    monkeypatch.setitem(known.LIBRARIES, "brokenlib", Library("nowhere"))
    active = activation.Activation()
    active.start()
    try:
        assert fail() == bare
    finally:
        active.stop()
