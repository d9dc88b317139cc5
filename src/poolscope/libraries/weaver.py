"""Installs and removes wrappers, and finds methods that a library no longer has. It keeps neither a class nor a
wrapper alive: a class seen at run time may be gone later.
"""

from __future__ import annotations

import importlib
import os
import sys
from _thread import RLock  # the real one, whatever gevent has put into threading
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple
from weakref import ref

from poolscope.libraries.guard import guard
from poolscope.libraries.original import original_of
from poolscope.libraries.point import Point
from poolscope.libraries.wrapper import code_of, wrapper_of

_MISSING: Final = object()


class _Woven(NamedTuple):
    """One wrapper in its place."""

    point: Point
    owner: ref[Any]
    wrapper: ref[FunctionType]
    inherited: bool
    """Whether its owner inherited the method."""


class Weaver:
    """All installed wrappers; `restore` removes them, newest first, unless another tool replaced them."""

    def __init__(self) -> None:
        self._woven: list[_Woven] = []
        self._sighted: dict[tuple[int, int], ref[type]] = {}
        self.renew()

    def __repr__(self) -> str:
        return f"<Weaver {', '.join(f'{w.owner()!r}.{w.point.method}' for w in self._woven)}>"

    def renew(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = RLock()

    def weave(self, points: Iterable[Point], library: ModuleType | None = None) -> None:
        """Install every point's wrapper; methods that ``library`` lacks are left out."""
        with self._lock:
            for point in points:
                owner = owner_of(point, library)
                if owner is not None:
                    _weave(self._woven, point, owner)

    def weave_on_sight(self, cls: type, points: tuple[Point, ...]) -> None:
        """Weave the methods of a class that turned up at run time, each at the class that defines it."""
        key = id(cls), id(points)
        if key in self._sighted:
            return
        with self._lock:
            for point in points:
                _weave(self._woven, point, _definer(cls, point.method))
            sighted = self._sighted
            sighted[key] = ref(cls, lambda _: sighted.pop(key, None))  # not before: other threads rely on it

    def restore(self) -> None:
        """Restore every method that was not replaced since; a replaced wrapper goes on without its bodies."""
        with self._lock:
            self._sighted.clear()
            while self._woven:
                woven = self._woven.pop()
                owner, wrapper = woven.owner(), woven.wrapper()
                if wrapper is not None:
                    for hook in woven.point.hooks.values():
                        hook.leave(wrapper)
                    if owner is not None:
                        _put_back(owner, woven, wrapper)


@guard("weave")
def _weave(done: list[_Woven], point: Point, owner: Any) -> None:
    there: Any = vars(owner).get(point.method, _MISSING)
    inherited = there is _MISSING
    if inherited:
        there = getattr(owner, point.method, _MISSING)
    above = None if inherited else _innermost_wrapper(there)
    if above is not None:
        there = above.__wrapped__
    stood = there
    if point.of_class != isinstance(there, classmethod):
        return
    if isinstance(there, classmethod) or (point.method == "__new__" and isinstance(there, staticmethod)):
        there = there.__func__
    same = [woven for woven in done if woven.point.inside is point.inside and woven.wrapper() is not None]
    if (
        there is _MISSING
        or not _can_be_woven(there)
        or any(woven.owner() is owner or woven.wrapper() is there for woven in same)
    ):
        return
    wrapper = wrapper_of(point, owner, there, inherited)
    if above is not None:
        above.__wrapped__ = wrapper
    else:
        setattr(
            owner,
            point.method,
            wrapper if stood is there else (classmethod if point.of_class else staticmethod)(wrapper),
        )
    wrapper.__globals__["_ps_stood"] = stood
    new = _Woven(point, ref(owner), ref(wrapper), inherited)
    done.append(new)
    related = [woven for woven in same if _in_one_line(woven.owner(), owner)]
    for woven in (*related, new) if related else ():
        _count_once(woven)


def _in_one_line(one: Any, other: Any) -> bool:
    classes = isinstance(one, type) and isinstance(other, type)
    return classes and (issubclass(one, other) or issubclass(other, one))


def _count_once(woven: _Woven) -> None:
    """Where one method may call another's by ``super()``, only the first of them counts."""
    wrapper = woven.wrapper()
    if wrapper is not None:
        at = original_of(woven.point, woven.owner(), wrapper.__globals__["_ps_original"], woven.inherited)
        code = wrapper.__code__
        wrapper.__code__ = code_of(woven.point, at, True, code.co_name, code.co_qualname)


def _put_back(owner: Any, woven: _Woven, wrapper: FunctionType) -> None:
    name, original = woven.point.method, wrapper.__globals__["_ps_stood"]
    there = vars(owner).get(name)
    if isinstance(there, staticmethod | classmethod):
        there = there.__func__
    above = _innermost_wrapper(there)
    if above is not None and above.__wrapped__ is wrapper:
        above.__wrapped__ = original
    elif there is wrapper and woven.inherited:
        delattr(owner, name)
    elif there is wrapper:
        setattr(owner, name, original)


def missing(points: Iterable[Point], library: ModuleType) -> list[str]:
    """The points that ``library`` should have but lacks: their hooks see nothing."""
    lost = []
    for point in points:
        owner = owner_of(point, library)
        if not point.missing_ok and (owner is None or not hasattr(owner, point.method)):
            name = point.owner if isinstance(point.owner, str) else point.owner.__name__
            lost.append(f"{library.__name__}.{name}.{point.method}")
    return lost


def owner_of(point: Point, library: ModuleType | None) -> Any:
    """The class or module that a point names; None if there is no such thing."""
    owner = point.owner
    if not isinstance(owner, str):
        return owner
    found: Any = library
    for name in owner.split("."):
        inner = getattr(found, name, None)
        if inner is None and isinstance(found, ModuleType):
            try:
                inner = importlib.import_module(f"{found.__name__}.{name}")
            except ImportError:
                return None
        if inner is None:
            return None
        found = inner
    return found


def _definer(cls: type, method: str) -> type:
    """The class that defines the method of ``cls``; ``cls`` itself if that is in the standard library."""
    for base in cls.__mro__:
        if method in vars(base):
            return cls if base.__module__.partition(".")[0] in sys.stdlib_module_names else base
    return cls


def _can_be_woven(there: Any) -> bool:
    if isinstance(there, staticmethod | classmethod | property | type):
        return False
    return callable(there) or (hasattr(type(there), "__get__") and not hasattr(type(there), "__set__"))


def _innermost_wrapper(there: Any) -> Any:
    """The wrapt wrapper next to the function itself, vendored or not; None where ``there`` is no such wrapper."""
    innermost = None
    while any(base.__name__ == "ObjectProxy" for base in type(there).__mro__) and hasattr(
        there, "_self_wrapper"
    ):
        innermost, there = there, there.__wrapped__
    return innermost


WEAVER: Final = Weaver()
"""The only weaver of this process, so that no method is woven twice."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WEAVER.renew)
