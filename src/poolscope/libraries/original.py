"""What a class holds at a hook point: the library's own function, or something that another tool put there.

Only the library's own plain function is wrapped with its own signature. Anything else gets all arguments
as they came, bound as Python would bind it: it may have defaults of its own, or parameters that we do not know.
"""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, MethodDescriptorType
from typing import Any, Final, Literal, NamedTuple

from poolscope.libraries.point import Point

Mode = Literal["sync", "async", "at call", "unknown"]
"""``unknown``: only the returned value shows whether it is a coroutine."""

VARARGS: Final = 0x04
VARKEYWORDS: Final = 0x08
COROUTINE: Final = 0x80
"""``inspect.CO_*``; importing inspect would slow the start of every program."""
MANY: Final = 16
"""Parameters given by keyword only, of which a call gives few: to hand on just those is faster."""
FEW: Final = "_ps_few"
"""The parameter that takes those; it would take unknown ones, too."""


class Original(NamedTuple):
    """What a class holds at a point, as far as its wrapper needs to know."""

    positional: tuple[str, ...]
    """Parameters after ``self``; those that may be given by keyword only are in ``keyword``."""
    keyword: tuple[str, ...]
    varargs: str
    varkeywords: str
    signature: str
    call: str
    itself: str
    """The name of its first parameter; empty for a function of a module."""
    mode: Mode
    exact: bool = False
    """Whether the wrapper has the same parameters as the original."""

    @property
    def names(self) -> tuple[str, ...]:
        """All its parameters."""
        return self.itself, *self.positional, *self.keyword, self.varargs, self.varkeywords


def original_of(point: Point, owner: Any, there: Any, inherited: bool) -> Original:
    """Read off ``there`` how it is called, and whether it is a coroutine function."""
    method = isinstance(owner, type)
    home = _definer(owner, point.method) if inherited else owner
    if _is_own_function(home, point.method, there):
        exact = _exact(there, method, _mode(point, there, exact=True))
        return exact._replace(call=_super_call(point, exact.call)) if inherited else exact
    itself = "_ps_self" if method else ""
    if inherited:
        call = _super_call(point, "_ps_original(_ps_self, *args, **kwargs)")
    elif not method:
        call = "_ps_original(*args, **kwargs)"
    elif type(there) is FunctionType:
        call = "_ps_original(_ps_self, *args, **kwargs)"
    elif hasattr(type(there), "__get__"):
        call = "_ps_original.__get__(_ps_self, type(_ps_self))(*args, **kwargs)"
    else:
        call = "_ps_original(*args, **kwargs)"
    signature = "_ps_self, /, *args, **kwargs" if method else "*args, **kwargs"
    return Original((), (), "args", "kwargs", signature, call, itself, _mode(point, there, exact=False))


def _definer(owner: Any, name: str) -> Any:
    return next((base for base in owner.__mro__ if name in vars(base)), owner)


def _super_call(point: Point, call: str) -> str:
    """The same call of whatever comes next in the order of the object's class."""
    itself, _, rest = call.removeprefix("_ps_original(").removesuffix(")").partition(", ")
    given = f"{itself}, {rest}" if point.method == "__new__" else rest
    return f"getattr(_ps_super(_ps_classes[0], {itself}), _ps_name)({given})"


def _is_own_function(owner: Any, name: str, there: Any) -> bool:
    """Whether ``there`` is defined in the body of its class (or module): no decorator, no wrapper."""
    if type(there) is not FunctionType or hasattr(there, "__wrapped__"):
        return False
    if isinstance(owner, type):
        if not there.__code__.co_argcount:
            return False
        home, module = f"{owner.__qualname__}.{name}", owner.__module__
    else:
        home, module = name, owner.__name__
    # What a package exports may say that it is defined there, while its methods say where they are.
    same = there.__module__.partition(".")[0] == module.partition(".")[0]
    return same and there.__qualname__ == there.__code__.co_qualname == home


def _exact(there: FunctionType, method: bool, mode: Mode) -> Original:
    code = there.__code__
    names = code.co_varnames
    count, only = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    rest = iter(names[only:])
    varargs = next(rest) if code.co_flags & VARARGS else ""
    varkeywords = next(rest) if code.co_flags & VARKEYWORDS else ""
    positional, keyword = names[:count], names[count:only]
    optional = len(keyword) == len(there.__kwdefaults__ or ())
    if mode == "at call" and optional and len(keyword) > MANY and not varkeywords:
        keyword, varkeywords = (), FEW
    signature, call = list(positional), list(positional)
    if code.co_posonlyargcount:
        signature.insert(code.co_posonlyargcount, "/")
    if varargs:
        signature.append(f"*{varargs}")
        call.append(f"*{varargs}")
    elif keyword:
        signature.append("*")
    signature += keyword
    call += [f"{name}={name}" for name in keyword]
    if varkeywords:
        signature.append(f"**{varkeywords}")
        call.append(f"**{varkeywords}")
    return Original(
        positional[1:] if method else positional,
        keyword,
        varargs,
        varkeywords,
        ", ".join(signature),
        f"_ps_original({', '.join(call)})",
        positional[0] if method else "",
        mode,
        exact=True,
    )


def _mode(point: Point, there: Any, exact: bool) -> Mode:
    while type(there) is not FunctionType:
        if type(there) in (BuiltinFunctionType, MethodDescriptorType):  # C makes no coroutines of Python's
            return "sync"
        inner = getattr(there, "func", None) or getattr(there, "__func__", None)
        if inner is None:
            return "unknown"
        there = inner
    if there.__code__.co_flags & COROUTINE:
        return "at call" if point.at_call or point.is_over_at_call else "async"
    # A decorator may be a plain function that returns the coroutine of what it wraps.
    return "sync" if exact else "unknown"


def argument(name: str, takes: tuple[str, ...], at: Original) -> str:
    """How a wrapper reads the library's parameter ``name``; None if it does not get that."""
    if name in at.positional or name in at.keyword or name in (at.varargs, at.varkeywords):
        return name
    place = takes.index(name) if name in takes else None
    if place is not None and place < len(at.positional) and at.positional[place] not in takes:
        return at.positional[place]  # a subclass that calls it something else
    named = f"{at.varkeywords}.get({name!r})" if at.varkeywords else "None"
    if place is None or not at.varargs or place < len(at.positional):
        return named
    place -= len(at.positional)
    return f"({at.varargs}[{place}] if len({at.varargs}) > {place} else {named})"
