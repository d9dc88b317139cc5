"""The names of exceptions in facts, and where they were raised."""

from __future__ import annotations

import sys
from types import CodeType
from typing import Any


def class_name(error: BaseException) -> str:
    """The fully qualified name of an exception's class; builtins without their module."""
    return name_of(type(error))


def name_of(cls: type) -> str:
    """The fully qualified name of a class; builtins without their module."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def on_the_wire(error: BaseException, library: str) -> BaseException:
    """The socket's error, below the exceptions in which ``library`` wraps it; a timeout stays a timeout."""
    while type(error).__module__.partition(".")[0] == library and not isinstance(error, TimeoutError):
        if error.__cause__ is None:
            break
        error = error.__cause__
    return error


def name_on_the_wire(error: BaseException, library: str) -> str:
    """Its class: the system's class, if the library wraps that in its own."""
    error = on_the_wire(error, library)
    bases = (cls for cls in type(error).__mro__ if cls.__module__ == "builtins")
    return next((cls for cls in bases if issubclass(cls, ConnectionError)), type(error)).__name__


def handled_in(thing: Any, code: CodeType | None = None) -> BaseException | None:
    """The exception being handled right now, if its traceback passes through a method of ``thing``, or through ``code``.

    An exception that merely happens to be handled now does not count.
    """
    error = sys.exc_info()[1]
    for _ in range(10):
        if error is None:
            break
        traceback = error.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if (code is None or frame.f_code is code) and frame.f_locals.get("self") is thing:
                return error
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__
    return None
