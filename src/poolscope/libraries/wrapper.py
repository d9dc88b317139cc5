"""Makes a wrapper from a point: what runs before, after and around the original.

A wrapper contains only what it needs: its source is assembled for its point, and compiled once for all points of the
same shape.
"""

from __future__ import annotations

import builtins
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, CoroutineType, FunctionType
from typing import Any, Final

from poolscope.libraries.original import COROUTINE, FEW, Original, argument, original_of
from poolscope.libraries.point import OURS, Point, Step

_CODES: Final[dict[str, CodeType]] = {}

getframe: Final = sys._getframe
"""The only one: hooks and doors get the caller's frame from here."""


def _rewriting(name: str, takes: tuple[str, ...], at: Original) -> Iterator[str]:
    yield "if _ps_token is not None and _ps_token.instead is not None:"
    reading = argument(name, takes, at)
    if reading.isidentifier() and reading != "None":
        yield f"    {reading} = _ps_token.instead"
    elif at.varargs and name in takes:
        place = takes.index(name) - len(at.positional)
        args, kwargs = at.varargs, at.varkeywords
        yield f"    if len({args}) > {place}: {args} = (*{args}[:{place}], _ps_token.instead, *{args}[{place + 1}:])"
        if kwargs:
            yield f"    else: {kwargs}[{name!r}] = _ps_token.instead"
    elif at.varkeywords:
        yield f"    {at.varkeywords}[{name!r}] = _ps_token.instead"
    else:
        yield "    pass"


_OURS: Final = {
    "token": "_ps_token",
    "result": "_ps_result",
    "error": "_ps_error",
    "frame": "_ps_getframe(1)",
    "frames": "_ps_getframe",
}


def _step(step: Step, point: Point, at: Original) -> Iterator[str]:
    """The lines that run one body, guarded."""
    hook = point.hooks.get(step)
    if hook is None:
        return
    has = {"frame", "frames"} | {"before": set(), "after": {"token", "result"}, "failed": {"token", "error"}}[
        step
    ]
    arguments = [
        _OURS[name]
        if name in has
        else "None"
        if name in OURS
        else at.itself
        if number == 0 and at.itself
        else argument(name, point.takes, at)
        for number, name in enumerate(hook.wants)
    ]
    call = f"_ps_{step}({', '.join(arguments)})"
    indent = ""
    if step == "before" and point.uses_token:
        yield "_ps_token = None"
        call = f"_ps_token = {call}"
    elif step != "before" and hook.needs_token:
        yield "if _ps_token is not None:"
        indent = "    "
    yield f"{indent}try:"
    yield f"{indent}    {call}"
    if step == "before" and point.rewrites:
        yield from _indented(_rewriting(point.rewrites, point.takes, at))
    yield f"{indent}except Exception as _ps_problem:"
    yield f"{indent}    if not _ps_guard_{step}(_ps_problem): raise"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"    {line}" for line in lines)


def _passing_on(steps: Sequence[str] = (), resets: Sequence[str] = ()) -> Iterator[str]:
    """The lines that pass an exception on, by no frame of ours, after these ``steps``, and ``resets`` whatever happens.

    Threads may raise one object at once: those of an HTTP/2 connection do. So our frame is gone before another thread
    can run, and the raise is of this thread's own traceback: Python switches threads at the end of a call, not in `for`.
    """
    yield "except BaseException as _ps_error:"
    yield "    _ps_traceback = _ps_error.__traceback__"
    yield "    if _ps_traceback is not None: _ps_traceback = _ps_traceback.tb_next"
    yield "    try:"
    # Not by assignment: exceptions that are frozen dataclasses refuse it, and their refusal would replace them.
    yield "        _ps_with_traceback(_ps_error, _ps_traceback)"
    yield from _indented(_indented(iter(steps)))
    yield "    except BaseException:"  # of a signal's handler, which runs at the end of a call
    yield "        del _ps_traceback"
    yield "        raise"
    if resets:
        yield "    finally:"
        yield from _indented(_indented(iter(resets)))
    yield "    for _ps_error in _ps_map(_ps_with_traceback, (_ps_error,), (_ps_traceback,)):"
    yield "        del _ps_traceback"  # it holds a frame below, and that this one
    yield "        raise"  # does not put the frame back (CPython ≥ 3.11)


def _around(call: str, target: str, point: Point, at: Original, once: bool) -> Iterator[str]:
    """The original call, and the code around it."""
    resets, elsewhere = [], []
    if once:
        yield "_ps_around = _ps_inside.get(None)"
        yield f"_ps_here = (id({at.itself}), _ps_classes[0])"
        yield "_ps_inside.set(_ps_here)"
        resets.append("_ps_inside.set(_ps_around)")
        elsewhere.append("if _ps_inside.get(None) is not _ps_here: _ps_around = _ps_inside.get(None)")
    if point.var is not None:
        yield "if _ps_token is not None:"
        yield "    _ps_outer = _ps_var_get(None)"
        yield "    _ps_var_set(_ps_token)"
        resets.append("if _ps_token is not None: _ps_var_set(_ps_outer)")
        elsewhere.append("if _ps_var_get(None) is not _ps_token: _ps_outer = _ps_var_get(None)")
    failed = list(_step("failed", point, at))
    if call.startswith("await "):  # a coroutine may be closed, or collected, in another one's context
        failed = elsewhere + failed
    yield "try:"
    yield f"    {target}{call}"
    yield from _passing_on(failed, resets)
    yield from resets


def _ending(call: str, point: Point, at: Original, once: bool) -> Iterator[str]:
    after = list(_step("after", point, at))
    if after or once or point.var is not None:
        yield from _around(call, "_ps_result = ", point, at, once)
        yield from after
        yield "return _ps_result"
    else:
        yield from _around(call, "return ", point, at, once)


def _called(at: Original) -> Iterator[str]:
    """The original call, unobserved."""
    yield "try:"
    yield f"    return {'await ' if at.mode == 'async' else ''}{at.call}"
    yield from _passing_on()


def _handing_on(point: Point, at: Original) -> Iterator[str]:
    """Return the original's own coroutine where nothing is left to do while it runs."""
    if point.is_over_at_call:
        yield from _called(at)
    elif point.is_over_without_token:
        yield "if _ps_token is None:"
        yield from _indented(_called(at))


def _lines(point: Point, at: Original, once: bool) -> Iterator[str]:
    wait = "await " if at.mode == "async" else ""
    yield f"{'async ' if wait else ''}def _ps_wrapper({at.signature}):"
    body: list[str] = []
    if once:
        body += [
            "_ps_caller = _ps_inside.get(None)",
            f"if _ps_caller is not None and _ps_calls_base(_ps_caller, {at.itself}, _ps_classes[0]):",
            *_indented(_called(at)),
        ]
    if at.varkeywords == FEW:
        body.append(f"if not {FEW}.keys() <= _ps_known:")
        body += _indented(_called(at))
    body += _step("before", point, at)
    if at.mode in ("sync", "async"):
        body += _ending(wait + at.call, point, at, once)
    else:
        pending, given = at.call, at.names
        if at.mode == "unknown":
            pending, given = "_ps_pending", ("_ps_pending", at.itself)
            body += _around(at.call, f"{pending} = ", point, at, once)
            body.append(f"if type({pending}) is not _ps_coroutine:")
            body.append(f"    _ps_result = {pending}")
            body += _indented(_step("after", point, at))
            body.append("    return _ps_result")
        elif not once:
            body += _handing_on(point, at)
        if at.mode == "unknown" or once or not point.is_over_at_call:
            # Parameters, because a variable that a closure holds is slower for both functions.
            names = ", ".join([name for name in given if name] + ["_ps_token"] * point.uses_token)
            body.append(f"async def _ps_rest({names}):")
            body += _indented(_ending(f"await {pending}", point, at, once))
            body.append(f"return _ps_rest({names})")
    yield from _indented(iter(body))


class _Sources:
    """The loader in a wrapper's globals, which linecache asks for its source."""

    def __repr__(self) -> str:
        return f"<{len(_CODES)} shapes of wrappers>"

    def get_source(self, name: str) -> str | None:
        """The source of the shape called ``name``."""
        return next((source for source, code in _CODES.items() if code.co_filename == _file(name)), None)


_SOURCES: Final[Any] = _Sources()


def _file(name: str) -> str:
    return os.path.join(os.path.dirname(__file__), f"{name}.py")


def code_of(point: Point, at: Original, once: bool, name: str, qualname: str) -> CodeType:
    """The code of a wrapper; ``once`` where another class's method may call it by ``super()``."""
    source = "\n".join(_lines(point, at, once)) + "\n"
    shape = _CODES.get(source)
    if shape is None:
        module = compile(source, _file(f"woven_{len(_CODES)}"), "exec", dont_inherit=True)
        shape = _CODES[source] = next(const for const in module.co_consts if type(const) is CodeType)
    consts = tuple(
        const.replace(co_name=name, co_qualname=qualname) if type(const) is CodeType else const
        for const in shape.co_consts
    )
    flags = shape.co_flags
    if at.mode == "at call" and sys.version_info < (3, 12):
        flags |= COROUTINE  # nothing else is checked there, while it is the first instruction that acts
    return shape.replace(co_name=name, co_qualname=qualname, co_consts=consts, co_flags=flags)


def _calls_base(caller: tuple[int, type], thing: Any, cls: type) -> bool:
    return caller[0] == id(thing) and caller[1] is not cls and issubclass(caller[1], cls)


def wrapper_of(point: Point, owner: Any, there: Any, inherited: bool) -> FunctionType:
    """A function that runs the point's bodies around ``there``, and looks like it."""
    at = original_of(point, owner, there, inherited)
    name = point.method
    qualname = getattr(there, "__qualname__", f"{getattr(owner, '__qualname__', '')}.{name}".lstrip("."))
    code = code_of(point, at, False, name, qualname)
    module = os.path.basename(code.co_filename).removesuffix(".py")
    names: dict[str, Any] = {
        "__builtins__": vars(builtins),
        "__loader__": _SOURCES,
        "__spec__": ModuleSpec(module, _SOURCES),  # where Python 3.15 looks for the loader
        "__name__": module,
        "_ps_original": there,
        "_ps_with_traceback": BaseException.with_traceback,
        "_ps_map": map,
        "_ps_getframe": getframe,
        # Not the class itself: gevent would take that for `from ssl import SSLContext`, and warn.
        "_ps_classes": (owner,),
        "_ps_super": super,
        "_ps_name": name,
        "_ps_coroutine": CoroutineType,
        "_ps_inside": point.inside,
        "_ps_calls_base": _calls_base,
    }
    if at.varkeywords == FEW:
        names["_ps_known"] = frozenset(there.__kwdefaults__)
    if point.var is not None:
        names |= {"_ps_var_get": point.var.get, "_ps_var_set": point.var.set}
    wrapper = FunctionType(code, names, name, there.__defaults__ if at.exact else None)
    wrapper.__kwdefaults__ = there.__kwdefaults__ if at.exact else None
    functools.update_wrapper(wrapper, there if callable(there) else there.__get__(None, owner))
    for step, hook in point.hooks.items():
        names[f"_ps_guard_{step}"] = hook.failed
        hook.enter(wrapper, f"_ps_{step}")
    if at.mode == "at call" and sys.version_info >= (3, 12):
        import inspect  # an asynchronous library has imported it already

        inspect.markcoroutinefunction(wrapper)
    return wrapper
