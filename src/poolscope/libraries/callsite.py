"""Finds the user's line of code by one cheap walk that keeps no frame. It returns ``(code, line)`` pairs, which
become names only at drain time. The SDK's site is the first frame outside the HTTP libraries; the user's is also
outside site-packages and the standard library. `find` finds everything, once per client; `user` is for every request.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from poolscope.facts import RawCallSite
from poolscope.libraries import known

LIBRARY: Final = 0  # 0, so that it is false: most frames above a request are of this kind
"""httpx, requests, urllib3, aiohttp and their parts; poolscope itself."""
PACKAGE: Final = 1
"""Anything else from site-packages."""
USER: Final = 2
STANDARD: Final = 4
"""The standard library, and tools that wrap every call: never a user's line."""
RUNNER: Final = 3
"""The frames from which ``poolscope run`` starts the program, and event loops start tasks: frames outside did not
make the call.
"""

_VERSION: Final = "python{}.{}".format(*sys.version_info)
# What sysconfig calls stdlib and platstdlib; it takes milliseconds to say so.
_INSTALLED: Final = (
    os.path.join(os.path.dirname(os.__file__), ""),
    *(
        os.path.join(prefix, sys.platlibdir, _VERSION, "")
        for prefix in (sys.exec_prefix, sys.base_exec_prefix)
    ),
)
_ALSO: Final = frozenset(("poolscope", "contextlib.py"))
"""No line of theirs is the program's, either."""
_TOOLS: Final = frozenset(
    ("wrapt", "newrelic", "ddtrace", "opentelemetry", "sentry_sdk", "elasticapm", "logfire", "scout_apm", "datadog",
     "tenacity", "backoff", "retry", "retrying", "stamina", "anyio", "trio", "asgiref", "gevent", "eventlet", "greenlet")
)  # fmt: skip
OWN: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")

_RUNNER: Final = os.path.join(OWN, "recording", "program.py")

_LOOPS: Final = frozenset((("asyncio", "events.py"), ("asyncio", "base_events.py"), ("_core", "_run.py")))

_WRAPPERS: Final = 10
"""Around one method, at the most."""


class _Kinds(dict[str, int]):
    """What kind of file each is."""

    def __missing__(self, filename: str) -> int:
        if len(self) >= _MOST:
            self.clear()
        kind = self[filename] = _classify(filename)
        return kind


_kinds: Final = _Kinds()
kind_of: Final = _kinds.__getitem__
"""LIBRARY, PACKAGE, USER, STANDARD or RUNNER, by a file's place."""
_sites: dict[tuple[int, int], RawCallSite] = {}
_MOST: Final = 10_000
"""Files and sites kept: exec may make any number of them."""


def site_of(code: CodeType, frame: FrameType) -> RawCallSite:
    """The current line of ``frame``, cached because Python searches a table for it."""
    place = id(code), frame.f_lasti
    site = _sites.get(place)
    if site is None or site[0] is not code:
        if len(_sites) >= _MOST:
            _sites.clear()
        site = _sites[place] = code, frame.f_lineno
    return site


def _classify(filename: str) -> int:
    if filename.startswith(OWN):
        return RUNNER if filename == _RUNNER else LIBRARY
    parts = filename.replace("\\", "/").split("/")
    if tuple(parts[-2:]) in _LOOPS:
        return RUNNER
    installed = "site-packages" in parts or "dist-packages" in parts or filename.startswith(_INSTALLED)
    if not installed and not filename.startswith("<frozen"):
        return USER
    for marker in ("site-packages", "dist-packages"):
        if marker in parts:
            package = parts[len(parts) - parts[::-1].index(marker)]
            name = package.removesuffix(".py")
            if known.is_of_a_client(name) or package in _ALSO:
                return LIBRARY
            return STANDARD if name in _TOOLS else PACKAGE
    return LIBRARY if parts[-1] in _ALSO else STANDARD


class Site(NamedTuple):
    """Where a call came from; ``entry`` is the outermost frame still inside the HTTP libraries."""

    user: RawCallSite | None
    sdk: RawCallSite | None
    """The first line outside the HTTP libraries, if it is not the user's."""
    entry: CodeType | None


def find(frame: FrameType | None) -> Site:
    """Walk out from ``frame``; the line of each kind, or None."""
    return _find(frame)[0]


def _find(frame: FrameType | None) -> tuple[Site, FrameType | None]:
    """The same, and the frame of the user's line."""
    innermost = frame
    entry: CodeType | None = None
    sdk: RawCallSite | None = None
    while frame is not None:
        code = frame.f_code
        kind = kind_of(code.co_filename)
        if kind == USER:
            return Site(site_of(code, frame), sdk, entry), frame
        if kind == PACKAGE:
            if sdk is None:
                sdk = site_of(code, frame)
        elif kind == RUNNER:
            return Site(None, sdk, entry), None
        elif kind == LIBRARY and sdk is None:
            entry = code
        frame = frame.f_back
    return Site(handed_over(innermost), sdk, entry), None


def user(frame: FrameType | None, or_sdk: bool = False) -> RawCallSite | None:
    """Just the user's line, from ``frame`` outwards.

    Where there is none: the line that handed the call over to this thread, or the first line outside the HTTP
    libraries if ``or_sdk``, or None.
    """
    kinds = _kinds
    innermost = frame
    sdk: RawCallSite | None = None
    while frame is not None:
        if kind := kinds[frame.f_code.co_filename]:
            if kind == USER:
                return site_of(frame.f_code, frame)
            if kind == RUNNER:
                return sdk
            if or_sdk and sdk is None and kind == PACKAGE:
                sdk = site_of(frame.f_code, frame)
        frame = frame.f_back
    return handed_over(innermost) or sdk


RUNS: Final[dict[str, tuple[CodeType, Callable[[FrameType], Any]]]] = {}
"""For the module of each watched thread pool: the code that does a piece of work, and how to find that in its frame."""
HANDING: Final[ContextVar[RawCallSite | None]] = ContextVar("poolscope_handing", default=None)
"""The line that called the running ``to_thread``, perhaps as a separate task."""
HANDED_BY: Final = "_poolscope_handed_by"
"""On a piece of work: the program's line that handed it over."""


def handed_over(frame: FrameType | None) -> RawCallSite | None:
    """The program's line that handed the call over to the thread that makes it; None where that is not known."""
    runs = tuple(RUNS.values())
    while runs and frame is not None:
        for code, work_in in runs:
            if frame.f_code is code:
                line: RawCallSite | None = getattr(work_in(frame), HANDED_BY, None)
                return line
        frame = frame.f_back
    return HANDING.get()


def is_finalizer(frame: FrameType | None) -> bool:
    """Whether the libraries' code around ``frame`` runs in an asynchronous client."""
    while frame is not None and kind_of(frame.f_code.co_filename) == LIBRARY:
        if frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def of_construction(frame: FrameType | None, thing: Any) -> Site:
    """Where ``thing`` is being built: the ``__init__`` of its own subclasses is not the user's line.

    Nor is that of a user's object that holds it: the line that builds the outermost such object shows how often it
    happens, and the inner line is that of an SDK.
    """
    while frame is not None and (frame.f_code.co_filename.startswith(OWN) or _initialises(frame, thing)):
        frame = frame.f_back
    site, at = _find(frame)
    outer = _outside_of_init(at)
    if outer is None:
        return site
    generated = site.user is None or site.user[0].co_filename.startswith("<")
    return Site(outer, site.sdk if generated or site.sdk is not None else site.user, site.entry)


def _outside_of_init(frame: FrameType | None) -> RawCallSite | None:
    """If ``frame`` is in an ``__init__``: the user's line that builds that object."""
    outer: RawCallSite | None = None
    while frame is not None and frame.f_code.co_name == "__init__":
        _, frame = _find(frame.f_back)
        if frame is not None:
            outer = frame.f_code, frame.f_lineno
    return outer


def _initialises(frame: FrameType, thing: Any) -> bool:
    code = frame.f_code
    return code.co_name == "__init__" and frame.f_locals.get(code.co_varnames[0]) is thing


def past_wrappers(frame: FrameType, thing: Any, *methods: str) -> FrameType:
    """The frame that called one of the ``methods`` of ``thing``, past what other tools have put around it."""
    around = [code for method in methods for code in _codes_of(getattr(type(thing), method, None))]
    outer: FrameType | None = frame
    while outer is not None and (outer.f_code in around or _is_tools(outer)):
        outer = outer.f_back
    return frame if outer is None else outer


def _is_tools(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__"))
    return module.partition(".")[0] in _TOOLS and kind_of(frame.f_code.co_filename) == STANDARD


def _codes_of(function: Any) -> Iterator[CodeType]:
    """The code of ``function`` and of all that it wraps."""
    for _ in range(_WRAPPERS):
        for part in (function, getattr(function, "_self_wrapper", None)):
            code = getattr(part, "__code__", None)
            if code is not None:
                yield code
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return
