"""How one object is traced without touching its class, which others use as well."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from poolscope.hooks.guarding import called_by_name


class TracedClasses:
    """Subclasses with our methods, one per original class, that look exactly like the original.

    An object becomes traced by assigning its ``__class__``: identity, repr, isinstance and private
    attributes stay, which no wrapper object manages (httpcore2's ``can_multiplex`` taught that).
    """

    def __init__(
        self,
        methods: Mapping[str, Callable[[Any], Any]],
        finalizer: Callable[[Any], None] | None = None,
        by_name: bool = False,
    ) -> None:
        self._methods = methods
        self._finalizer = finalizer
        """Called with the object when it is collected, before a ``__del__`` of its own."""
        self._by_name = by_name
        """Whether a method is looked up with each call, for objects that live long: a test, or another tool, may
        replace it after they were adopted. Others get what is there when they are adopted."""
        self._made: dict[type, tuple[type, list[tuple[str, Any]]]] = {}

    def of(self, cls: type) -> type:
        """The traced twin of ``cls``; that of its original if it is one already."""
        known = self._made.get(cls)
        if known is not None:
            made, originals = known
            if self._by_name:
                return made
            for name, original in originals:
                if _method(cls, name) is not original:
                    break
            else:
                return made
        elif vars(cls).get("_poolscope_traced") is self:
            return TracedClasses.of(self, cls.__bases__[0])
        elif getattr(cls, "_poolscope_traced", None) is self:
            return cls
        body: dict[str, Any] = {
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
            "_poolscope": None,
            "_poolscope_traced": self,
        }
        originals = []
        for name, make in self._methods.items():
            original = getattr(cls, name, None)
            if original is not None:
                originals.append((name, _method(cls, name)))
                called = original
                if self._by_name:
                    called = functools.wraps(original)(called_by_name(cls, name, self._resolve))
                body[name] = functools.wraps(original)(make(called))
        if self._finalizer is not None:
            body["__del__"] = _finalizer(self._finalizer, getattr(cls, "__del__", None))
        made = type(cls.__name__, (cls,), body)
        self._made[cls] = made, originals
        return made

    def _resolve(self, cls: type, name: str) -> Any:
        return getattr(cls, name)

    def adopt(self, thing: Any) -> bool:
        """Turn ``thing`` into its traced twin; False where its layout forbids that (``__slots__``)."""
        try:
            thing.__class__ = self.of(type(thing))
        except TypeError:
            return False
        return True

    def give_up(self, thing: Any) -> None:
        """Give ``thing`` its class back: its finalizer has nothing left to say, and need not run.

        Its mark stays, as another thread may be inside a method of ours on it.
        """
        cls = type(thing)
        if vars(cls).get("_poolscope_traced") is self:
            thing.__class__ = cls.__bases__[0]


def _method(cls: type, name: str) -> Any:
    """What lies there, without asking it: a wrapper of wrapt's is another object with each question."""
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def _finalizer(
    finalizer: Callable[[Any], None], inherited: Callable[[Any], None] | None
) -> Callable[[Any], None]:
    def __del__(self: Any) -> None:  # noqa: N807  (it is that method)
        finalizer(self)
        if inherited is not None:
            inherited(self)

    return __del__
