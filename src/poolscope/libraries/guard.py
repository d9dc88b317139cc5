"""Keeps hook bodies harmless: their failures never reach the program, their frames stay out of tracebacks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast
from weakref import ref

from poolscope.story.hook import HOOKS, Hook

_F = TypeVar("_F", bound=Callable[..., Any])


class BodyHook(Hook):
    """A hook with a body, and the wrappers it runs in."""

    __slots__ = ("_body", "_places", "needs_token", "of", "original", "wants")

    def __init__(self, name: str, body: Callable[..., Any]) -> None:
        super().__init__(name)
        self.of = self.original = self._body = body
        code = body.__code__
        self.wants: tuple[str, ...] = code.co_varnames[: code.co_argcount]
        """Its parameters, by which a wrapper knows what to pass."""
        optional = self.wants[len(self.wants) - len(getattr(body, "__defaults__", None) or ()) :]
        self.needs_token = "token" in self.wants and "token" not in optional
        """Whether it runs only where ``before`` returned something."""
        self._places: list[tuple[ref[FunctionType], str]] = []

    @property
    def body(self) -> Callable[..., Any]:
        """The function that runs; setting it changes every wrapper, so that none has to look it up."""
        return self._body

    @body.setter
    def body(self, body: Callable[..., Any]) -> None:
        self._body = body
        for place, name in self._places:
            wrapper = place()
            if wrapper is not None:
                wrapper.__globals__[name] = body

    def switch_off(self) -> None:
        """Off: nothing runs in its wrappers."""
        super().switch_off()
        self.body = nothing

    def enter(self, wrapper: FunctionType, name: str) -> None:
        """Run in ``wrapper`` from now on, as its global ``name``."""
        self._places = [place for place in self._places if place[0]() is not None]
        self._places.append((ref(wrapper), name))
        wrapper.__globals__[name] = self._body

    def leave(self, wrapper: FunctionType) -> None:
        """Run in ``wrapper`` no longer."""
        for place, name in self._places:
            if place() is wrapper:
                wrapper.__globals__[name] = nothing
        self._places = [place for place in self._places if place[0]() is not wrapper]

    def reset(self) -> None:
        """On again, with its original body."""
        super().reset()
        self.body = self.original


def nothing(*args: Any) -> None:
    """The body of a hook that is off."""


def hook_of(body: Callable[..., Any]) -> BodyHook:
    """The hook of this body, with a name such as ``urllib3.pool.asks``."""
    module = body.__module__.removeprefix("poolscope.").removeprefix("libraries.")
    name = f"{module}.{body.__qualname__.rpartition('.')[2].lstrip('_')}"
    hook = HOOKS.get(name)
    return hook if isinstance(hook, BodyHook) and hook.of is body else BodyHook(name, body)


def guard(name: str) -> Callable[[_F], _F]:
    """Make a function that no point runs, like a finalizer, into a hook: it yields None instead of raising.

    KeyboardInterrupt and other BaseExceptions pass: they belong to the host, and came while we happened to run.
    Exceptions of signal handlers, such as deadlines, also pass.
    """

    def decorate(body: _F) -> _F:
        hook = BodyHook(name, body)

        def guarded(*args: Any) -> Any:
            try:
                return hook.body(*args)
            except Exception as error:
                if not hook.failed(error):
                    raise
                return None

        return cast(_F, functools.wraps(body)(guarded))

    return decorate


def hide_frame(error: BaseException) -> None:
    """Take the caller's frame off the head of ``error``'s traceback; wrappers do it themselves, safe from other threads.

    A bare ``raise`` right after it does not put the frame back (CPython ≥ 3.11).
    """
    traceback = error.__traceback__
    if traceback is not None:
        # Not by assignment: exceptions that are frozen dataclasses refuse it, and their refusal would replace them.
        BaseException.with_traceback(error, traceback.tb_next)
