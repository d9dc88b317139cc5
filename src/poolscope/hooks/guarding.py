"""How a hook is kept harmless: what it does is guarded, and its frames stay out of the host's tracebacks.

`guard` keeps a hook's failure away from the host and switches the hook off when it fails repeatedly
(the idea is trio's: an instrument that raises is removed, the host is unaffected).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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


def called_by_name(cls: type, name: str, resolve: Callable[[type, str], Any]) -> Callable[..., Any]:
    """``cls.name`` as it is at each call; `hide_frame` knows the frame that this adds."""

    def original(*args: Any, **kwargs: Any) -> Any:
        return resolve(cls, name)(*args, **kwargs)

    return original


_BY_NAME: Final = called_by_name(object, "", getattr).__code__
