"""How a hook is put in place, kept harmless, and taken out again.

`guard` keeps a hook's failure away from the host and switches the hook off when it fails repeatedly
(the idea is trio's: an instrument that raises is removed, the host is unaffected). `hide_frame` keeps
our wrappers out of the host's tracebacks. `Patches` remembers what was replaced and restores only what
is still ours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from poolscope.facts import BEGUN, HookFailure
from poolscope.queue import FACTS, is_the_hosts

FAILURES_ALLOWED: Final = 3
_VARARGS: Final = 0x04
"""``inspect.CO_VARARGS``; importing inspect would slow the start of every program."""
_F = TypeVar("_F", bound=Callable[..., Any])


class Hook:
    """One guarded hook body, its failures, and whether it is still on."""

    __slots__ = ("body", "disabled", "failures", "name", "original")

    def __init__(self, name: str, body: Callable[..., Any]) -> None:
        self.name = name
        self.body = self.original = body
        self.failures = 0
        self.disabled = False

    def __repr__(self) -> str:
        state = "off" if self.disabled else "on"
        return f"<Hook {self.name} {state}, {self.failures} failures>"

    def failed(self, error: Exception) -> bool:
        """Count a failure, the last allowed one switches the hook off; False where the error is the host's."""
        if FACTS is not None:  # as all globals may be while the interpreter shuts down
            if is_the_hosts(error):
                return False
            self.failures += 1
            self.disabled = self.failures >= FAILURES_ALLOWED
            if self.disabled:
                self.body = _nothing
            FACTS.put(BEGUN, HookFailure(self.name, type(error).__name__, self.disabled))
        return True

    def reset(self) -> None:
        """Back to the first day: for `instrument()` and for tests that made it fail."""
        self.body, self.failures, self.disabled = self.original, 0, False


HOOKS: Final[dict[str, Hook]] = {}


def _nothing(*args: Any) -> None:
    """The body of a hook that is off."""


def guard(name: str) -> Callable[[_F], _F]:
    """Make a hook body that never raises an Exception: it yields None instead and is counted.

    KeyboardInterrupt and other BaseExceptions pass: they are the host's, delivered while we happened to run.
    So does whatever a signal handler raises, as those do that end a call at a deadline.
    """

    def decorate(body: _F) -> _F:
        hook = HOOKS[name] = Hook(name, body)
        code = body.__code__
        optional = body.__defaults__ or code.co_flags & _VARARGS
        around = _guarded if optional else _GUARDED.get(code.co_argcount, _guarded)
        return cast(_F, functools.wraps(body)(around(hook)))

    return decorate


def _guarded(hook: Hook) -> Callable[..., Any]:
    def guarded(*args: Any) -> Any:
        try:
            return hook.body(*args)
        except Exception as error:
            if not hook.failed(error):
                raise
            return None

    return guarded


# The same for a fixed number of arguments: every request passes several guards, and collecting arguments
# doubles what one costs. ``run`` has its reason too: calling what is in a slot by its attribute is slow.


def _guarded_1(hook: Hook) -> Callable[..., Any]:
    def guarded(a: Any) -> Any:
        run = hook.body
        try:
            return run(a)
        except Exception as error:
            if not hook.failed(error):
                raise
            return None

    return guarded


def _guarded_2(hook: Hook) -> Callable[..., Any]:
    def guarded(a: Any, b: Any) -> Any:
        run = hook.body
        try:
            return run(a, b)
        except Exception as error:
            if not hook.failed(error):
                raise
            return None

    return guarded


def _guarded_3(hook: Hook) -> Callable[..., Any]:
    def guarded(a: Any, b: Any, c: Any) -> Any:
        run = hook.body
        try:
            return run(a, b, c)
        except Exception as error:
            if not hook.failed(error):
                raise
            return None

    return guarded


def _guarded_4(hook: Hook) -> Callable[..., Any]:
    def guarded(a: Any, b: Any, c: Any, d: Any) -> Any:
        run = hook.body
        try:
            return run(a, b, c, d)
        except Exception as error:
            if not hook.failed(error):
                raise
            return None

    return guarded


_GUARDED: Final = {1: _guarded_1, 2: _guarded_2, 3: _guarded_3, 4: _guarded_4}


def hide_frame(error: BaseException) -> None:
    """Take the calling wrapper's frame off the head of ``error``'s traceback.

    A bare ``raise`` right after it does not put the frame back (CPython ≥ 3.11).
    """
    traceback = error.__traceback__
    if traceback is not None:
        traceback = traceback.tb_next
        if traceback is not None and traceback.tb_frame.f_code is _BY_NAME:
            traceback = traceback.tb_next
        # Not by assignment: exceptions that are frozen dataclasses refuse it, and would be lost to that refusal.
        BaseException.with_traceback(error, traceback)


def _by_name(cls: type, name: str, resolve: Callable[[type, str], Any]) -> Callable[..., Any]:
    def original(*args: Any, **kwargs: Any) -> Any:
        return resolve(cls, name)(*args, **kwargs)

    return original


_BY_NAME: Final = _by_name(object, "", getattr).__code__


class Patches:
    """What was replaced where; `restore` undoes it, newest first, and only where it is still ours."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []

    def __repr__(self) -> str:
        return f"<Patches {', '.join(f'{owner.__name__}.{name}' for owner, name, _, _ in self._done)}>"

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Replace ``owner.name`` by ``make(original)``; False if there is no such name.

        A method that ``owner`` only inherits is wrapped in ``owner`` itself, and removed again on restore.
        Where somebody wrapped it with wrapt before us, ours goes below theirs: nearer to the library, and
        where the span they made can be seen.
        """
        original = vars(owner).get(name, _MISSING)
        inherited: Any = getattr(owner, name, _MISSING) if original is _MISSING else original
        if inherited is _MISSING:
            return False
        above = _innermost_wrapper(inherited)
        if above is not None:
            original = inherited = above.__wrapped__
        replacement = functools.wraps(inherited)(make(inherited))
        if above is None:
            setattr(owner, name, replacement)
        else:
            above.__wrapped__ = replacement
        self._done.append((owner, name, original, replacement))
        return True

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Set ``owner.name`` to ``value``, removed (or put back) on restore."""
        self._done.append((owner, name, vars(owner).get(name, _MISSING), value))
        setattr(owner, name, value)

    def restore(self) -> None:
        """Undo everything that nobody replaced after us; what was, keeps running over a hook without consumers."""
        while self._done:
            owner, name, original, replacement = self._done.pop()
            there = vars(owner).get(name)
            above = _innermost_wrapper(there)
            if above is not None and above.__wrapped__ is replacement:
                above.__wrapped__ = original
            if there is not replacement:
                continue
            if original is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def _innermost_wrapper(wrapped: Any) -> Any:
    """The wrapt wrapper next to the function itself; None where ``wrapped`` is no such wrapper."""
    innermost = None
    while type(wrapped).__module__.partition(".")[0] in _WRAPT:
        innermost, wrapped = wrapped, wrapped.__wrapped__
    return innermost


_MISSING: Final = object()
_WRAPT: Final = ("wrapt", "_wrappers")
"""Modules of its wrappers' classes; the second is the C extension's."""


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
                    called = functools.wraps(original)(_by_name(cls, name, self._resolve))
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
