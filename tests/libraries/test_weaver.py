"""A wrapper behaves like what it wraps, whatever that is, and its bodies see each call once."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import inspect
import itertools
import linecache
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import traceback
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
import wrapt

import poolscope
from poolscope.libraries.point import Point
from poolscope.libraries.weaver import Weaver, missing
from poolscope.queue import FACTS
from poolscope.story import hook as hooks
from poolscope.story.hook import ALLOWED, FORGIVEN_AFTER, HOOKS

PACKAGE = str(Path(poolscope.__file__).parent)
HELD: ContextVar[Any] = ContextVar("held", default=None)
SEEN: list[Any] = []
SILENT: set[str] = set()


class Token:
    instead: Any = None

    def __repr__(self) -> str:
        return "<token>"


def begins(thing: Any, request: Any, frame: Any) -> Token | None:
    SEEN.append(("begins", request, frame.f_code.co_name))
    token = Token()
    token.instead = "rewritten" if request == "rewrite" else None
    return None if request in SILENT else token


def ends(thing: Any, token: Token, result: Any) -> None:
    SEEN.append(("ends", result))


def fails(thing: Any, token: Token, error: BaseException) -> None:
    SEEN.append(("fails", type(error).__name__))


def finally_(thing: Any, result: Any, error: Any) -> None:
    SEEN.append(("finally", result, type(error).__name__))


@pytest.fixture
def weaver() -> Iterator[Weaver]:
    SEEN.clear()
    SILENT.clear()
    weaver = Weaver()
    yield weaver
    weaver.restore()
    failures = HOOKS["weave"].failures
    for hook in HOOKS.values():
        hook.reset()
    assert not failures


class Refused(Exception):
    """The exception that the library raises on request."""


def library(asynchronous: bool) -> Any:
    """A library's class with a ``send`` that returns its arguments; made anew for each test."""

    class Client:
        def send(self, request, timeout=5, *, stream=False):
            if request == "refuse":
                raise Refused
            return request, timeout, stream, HELD.get() is not None

    class AsyncClient:
        async def send(self, request, timeout=5, *, stream=False):
            await asyncio.sleep(0)
            if request == "refuse":
                raise Refused
            return request, timeout, stream, HELD.get() is not None

    cls = AsyncClient if asynchronous else Client
    # A class at the top of a module, because that distinguishes its own functions from a decorator's.
    name = cls.__name__
    cls.__qualname__ = name
    function = cls.send
    function.__qualname__ = f"{name}.send"
    function.__code__ = function.__code__.replace(co_qualname=f"{name}.send")
    return cls


class Descriptor:
    """A descriptor that can only bind."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, thing: Any, cls: type) -> Any:
        return self.function.__get__(thing, cls)


class OnlyOnObjects(Descriptor):
    def __get__(self, thing: Any, cls: type) -> Any:
        return self if thing is None else super().__get__(thing, cls)


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


def anonymous(function: Any) -> Any:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


def traced(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
    return wrapped(*args, **kwargs)


def named(function: Any, qualname: str) -> Any:
    other = types.FunctionType(function.__code__, function.__globals__, "send", function.__defaults__)
    other.__kwdefaults__ = function.__kwdefaults__
    other.__qualname__ = qualname
    return other


ORIGINALS: dict[str, Callable[[Any], Any]] = {
    "its own function": lambda function: function,
    "a function of another class": lambda function: named(function, "Other.send"),
    "a decorated function": decorated,
    "a lambda": anonymous,
    "a partialmethod": functools.partialmethod,
    "a partialmethod with a default": lambda function: functools.partialmethod(function, timeout=10),
    "a descriptor": Descriptor,
    "a descriptor of objects": OnlyOnObjects,
    "a wrapper of wrapt's": lambda function: wrapt.FunctionWrapper(function, traced),
    "two wrappers of wrapt's": lambda function: wrapt.FunctionWrapper(
        wrapt.FunctionWrapper(function, traced), traced
    ),
}
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "by position": (("a",), {}),
    "by name": ((), {"request": "a"}),
    "with all by position": (("a", 1), {}),
    "with all by name": ((), {"stream": True, "timeout": 2, "request": "a"}),
    "and refused": (("refuse",), {"stream": True}),
    "without what it needs": ((), {}),
    "with too much": (("a", 1, 2), {}),
    "with what it does not know": (("a",), {"unknown": 1}),
    "with itself by name": ((), {"self": 1}),
}


def outcome(thing: Any, args: Any, kwargs: Any) -> Any:
    """The outcome of a call: its result, or its error with message and frames."""
    try:
        if type(thing).__name__ == "AsyncClient":
            return asyncio.run(awaited(thing, args, kwargs))
        return thing.send(*args, **kwargs)
    except Exception as error:
        frames = [(f.name, f.filename) for f in traceback.extract_tb(error.__traceback__)]
        return type(error), str(error), frames, error.__context__, error.__cause__


async def awaited(thing: Any, args: Any, kwargs: Any) -> Any:
    return await thing.send(*args, **kwargs)


def send_point(cls: Any, **more: Any) -> Point:
    options: dict[str, Any] = {"before": begins, "after": ends, "failed": fails, "var": HELD}
    return Point(cls, "send", takes=("request", "timeout"), **(options | more))


@pytest.mark.parametrize("at_call", [False, True], ids=["", "at call"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("original", ORIGINALS)
def test_the_host_sees_no_difference(
    weaver: Weaver, original: str, call: str, asynchronous: bool, at_call: bool
) -> None:
    cls = library(asynchronous)
    cls.send = ORIGINALS[original](cls.send)
    args, kwargs = CALLS[call]
    bare = outcome(cls(), args, kwargs)
    there = vars(cls)["send"]
    weaver.weave([send_point(cls, at_call=at_call)])
    woven = outcome(cls(), args, kwargs)
    held = isinstance(bare, tuple) and len(bare) == 4
    assert woven == ((*bare[:3], True) if held else bare)
    if held:
        assert SEEN[0][:2] == ("begins", "a")
        assert SEEN[1:] == [("ends", woven)]
    elif call == "and refused":
        assert SEEN[1:] == [("fails", "Refused")]
    assert HELD.get() is None
    weaver.restore()
    assert vars(cls)["send"] is there
    assert outcome(cls(), args, kwargs) == bare


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("original", ORIGINALS)
def test_an_argument_is_replaced_on_its_way(weaver: Weaver, original: str, asynchronous: bool) -> None:
    cls = library(asynchronous)
    cls.send = ORIGINALS[original](cls.send)
    weaver.weave([send_point(cls, rewrites="request")])
    for args, kwargs in ((("rewrite",), {}), ((), {"request": "rewrite"}), (("rewrite",), {"stream": True})):
        assert outcome(cls(), args, kwargs)[0] == "rewritten"


def test_an_attribute_without_binding_is_called_as_before(weaver: Weaver) -> None:
    class Add:
        def __call__(self, number: str) -> int:
            return int(number)

    class Client:
        size: Any = len
        add = Add()

    weaver.weave([Point(Client, "size", after=ends_free), Point(Client, "add", after=ends_free)])
    assert Client().size("abc") == 3
    assert Client().add("7") == 7
    assert SEEN == [("ends", 3), ("ends", 7)]


def ends_free(thing: Any, result: Any) -> None:
    SEEN.append(("ends", result))


@pytest.mark.parametrize("kind", [staticmethod, classmethod, property])
def test_an_attribute_that_is_not_a_method_is_left_alone(weaver: Weaver, kind: Any) -> None:
    class Client:
        send = kind(lambda *args: args)

    there = vars(Client)["send"]
    weaver.weave([send_point(Client)])
    assert vars(Client)["send"] is there


class Made:
    size: int

    def __new__(cls, size=1):
        self = super().__new__(cls)
        self.size = size
        return self


class MadeBelow(Made):
    pass


def makes(cls: Any, size: Any, result: Any) -> None:
    SEEN.append((cls.__name__, size, result.size))


@pytest.mark.parametrize("owner", [Made, MadeBelow])
def test_new_is_woven_as_a_static_method(weaver: Weaver, owner: Any) -> None:
    there = vars(owner).get("__new__")
    weaver.weave([Point(owner, "__new__", after=makes, takes=("size",))])
    assert type(vars(owner)["__new__"]) is staticmethod or there is None
    assert (MadeBelow(2).size, MadeBelow(size=3).size) == (2, 3)
    assert SEEN == [("MadeBelow", 2, 2), ("MadeBelow", 3, 3)]
    weaver.restore()
    assert vars(owner).get("__new__") is there
    assert MadeBelow().size == 1


class Backend:
    @classmethod
    def connect(cls, host, port=80):
        """Connects."""
        return cls.__name__, host, port


class BackendBelow(Backend):
    pass


def connects(cls: Any, host: Any, port: Any, result: Any) -> None:
    SEEN.append((cls.__name__, host, port))


def test_a_class_method_is_woven_as_a_class_method(weaver: Weaver) -> None:
    there = vars(Backend)["connect"]
    weaver.weave([Point(Backend, "connect", after=connects, of_class=True)])
    assert Backend.connect("a") == ("Backend", "a", 80)
    assert BackendBelow().connect("b", port=1) == ("BackendBelow", "b", 1)
    assert SEEN == [("Backend", "a", 80), ("BackendBelow", "b", 1)]
    assert (Backend.connect.__doc__, inspect.signature(Backend.connect)) == (
        "Connects.",
        inspect.signature(there.__get__(None, Backend)),
    )
    weaver.restore()
    assert vars(Backend)["connect"] is there


def test_a_former_class_method_is_left_alone(weaver: Weaver) -> None:
    class Client:
        def send(self) -> None: ...

    there = Client.send
    weaver.weave([Point(Client, "send", after=ends_free, of_class=True)])
    assert Client.send is there


def test_a_class_that_refuses_is_left_alone(weaver: Weaver) -> None:
    weaver.weave([Point(int, "bit_length", before=begins), Point(object, "__repr__", before=begins)])
    assert (5).bit_length() == 3
    assert SEEN == []
    HOOKS["weave"].reset()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_wrapper_looks_like_what_it_wraps(weaver: Weaver, asynchronous: bool) -> None:
    cls = library(asynchronous)
    cls.send.__doc__ = "Sends."
    plain = cls.send
    weaver.weave([send_point(cls)])
    woven = cls.send
    assert woven is not plain
    assert inspect.signature(woven) == inspect.signature(plain)
    assert inspect.signature(woven, follow_wrapped=False) == inspect.signature(plain)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__"):
        assert getattr(woven, name) == getattr(plain, name)
    assert woven.__wrapped__ is plain
    assert (woven.__code__.co_name, woven.__code__.co_qualname) == ("send", f"{cls.__name__}.send")
    assert inspect.iscoroutinefunction(woven) is asynchronous
    assert str(woven).split(" at ")[0] == str(plain).split(" at ")[0]


class Pickled:
    def send(self) -> str:
        return "sent"


def test_a_bound_method_can_be_pickled(weaver: Weaver) -> None:
    weaver.weave([Point(Pickled, "send", before=silent)])
    assert pickle.loads(pickle.dumps(Pickled().send))() == "sent"
    assert pickle.loads(pickle.dumps(Pickled.send)) is Pickled.send


def silent() -> None:
    SEEN.append("silent")


def test_a_coroutine_method_observed_at_its_call_still_looks_like_one(weaver: Weaver) -> None:
    cls = library(True)
    weaver.weave([send_point(cls, at_call=True)])
    assert inspect.iscoroutinefunction(cls.send)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert asyncio.iscoroutinefunction(cls.send)
    assert isinstance(mock.create_autospec(cls).send, mock.AsyncMock | types.FunctionType)
    assert inspect.iscoroutinefunction(mock.create_autospec(cls).send)

    async def gathered() -> Any:
        client = cls()
        coroutine = client.send("c")
        assert (coroutine.__name__, coroutine.__qualname__) == ("send", "AsyncClient.send")
        return await asyncio.gather(client.send("a"), client.send("b"), coroutine)

    assert [result[0] for result in asyncio.run(gathered())] == ["a", "b", "c"]
    assert SEEN[:3] == [("begins", name, "gathered") for name in "cab"]


@pytest.mark.parametrize(
    "point", [{"before": silent, "after": None, "failed": None, "var": None}, {"at_call": True}]
)
def test_a_coroutine_without_hooks_is_the_librarys_own(weaver: Weaver, point: Any) -> None:
    cls = library(True)
    plain = cls.send
    weaver.weave([send_point(cls, **point)])
    SILENT.add("a")
    coroutine = cls().send("a")
    assert coroutine.cr_code is plain.__code__
    assert asyncio.run(coroutine) == ("a", 5, False, False)
    assert len(SEEN) == 1
    assert inspect.iscoroutinefunction(cls.send)


class Session:
    async def _request(self, url, *, a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8, i=9, j=10, k=11, m=13, n=14, o=15, p=16, q=17, s=18):  # fmt: skip
        return url, a, q


def asks_for(thing: Any) -> Token:
    SEEN.append("asks")
    return Token()


def test_of_many_parameters_only_the_given_ones_are_passed_on(weaver: Weaver) -> None:
    plain = Session._request
    with pytest.raises(TypeError) as bare:
        plain(Session(), "/", r=0)  # type: ignore[call-arg,unused-coroutine]
    weaver.weave([Point(Session, "_request", before=asks_for, var=HELD, at_call=True)])
    assert inspect.signature(Session._request) == inspect.signature(plain)
    assert asyncio.run(Session()._request("/", q=0)) == ("/", 1, 0)
    with pytest.raises(TypeError) as woven:
        asyncio.run(Session()._request("/", r=0))  # type: ignore[call-arg]
    assert str(woven.value) == str(bare.value)
    assert not [
        frame.filename for frame in traceback.extract_tb(woven.tb) if frame.filename.startswith(PACKAGE)
    ]
    assert SEEN == ["asks"]


def test_a_coroutine_that_is_never_awaited_is_warned_of_as_before(weaver: Weaver) -> None:
    cls = library(True)
    weaver.weave([send_point(cls, at_call=True)])
    with pytest.warns(RuntimeWarning, match=r"coroutine 'AsyncClient\.send' was never awaited"):
        cls().send("a")
        gc.collect()


def test_bodies_that_want_a_token_do_not_run_without_one(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([send_point(cls)])
    SILENT.add("a")
    assert cls().send("a") == ("a", 5, False, False)
    with pytest.raises(Refused):
        SILENT.add("refuse")
        cls().send("refuse")
    assert [event[0] for event in SEEN] == ["begins", "begins"]


def counts_all(thing: Any, token: Token | None = None) -> None:
    SEEN.append(("ended", token))


def test_bodies_with_a_default_token_run_without_one(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([Point(cls, "send", before=begins, after=counts_all, takes=("request",))])
    SILENT.add("a")
    cls().send("a")
    assert SEEN[1:] == [("ended", None)]


def test_a_context_variable_is_restored(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([send_point(cls)])
    token = HELD.set("somebody's")
    with pytest.raises(Refused):
        cls().send("refuse")
    cls().send("a")
    assert HELD.get() == "somebody's"
    HELD.reset(token)


def test_one_body_can_run_whatever_happens(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([Point(cls, "send", always=finally_)])
    cls().send("a")
    with pytest.raises(Refused):
        cls().send("refuse")
    assert SEEN == [("finally", ("a", 5, False, False), "NoneType"), ("finally", None, "Refused")]


def test_parameters_are_read_wherever_a_version_has_them(weaver: Weaver) -> None:
    class Old:
        def urlopen(self, method, url, **more):
            return method, url, more

    class New:
        def urlopen(self, method, url, body=None, headers=None):
            return method, url, headers

    class Odd:
        def urlopen(self, verb, *rest, **more):
            return verb

    def asks(pool: Any, method: Any, headers: Any, nowhere: Any) -> None:
        SEEN.append((method, headers, nowhere))

    takes = ("method", "url", "body", "headers")
    weaver.weave([Point(cls, "urlopen", before=asks, takes=takes) for cls in (Old, New, Odd)])
    Old().urlopen("GET", "/", headers=1)
    New().urlopen("GET", "/", None, 2)
    Odd().urlopen("GET", "/", None, 3)
    Odd().urlopen("GET", headers=4)
    assert SEEN == [("GET", 1, None), ("GET", 2, None), ("GET", 3, None), ("GET", 4, None)]


def test_a_probe_with_an_unknown_argument_is_refused_as_before(weaver: Weaver) -> None:
    """urllib3 1.26 tries ``getresponse(buffering=True)`` and expects a TypeError."""

    class Connection:
        def getresponse(self):
            return "an answer"

    weaver.weave([Point(Connection, "getresponse", before=silent)])
    with pytest.raises(TypeError, match="unexpected keyword argument 'buffering'"):
        cast("Any", Connection()).getresponse(buffering=True)


def test_so_is_a_probe_of_a_method_from_the_standard_library(weaver: Weaver) -> None:
    """In 1.26 the method is http.client's."""
    import http.client

    class Connection(http.client.HTTPConnection):
        pass

    weaver.weave([Point(Connection, "getresponse", failed=counts)])
    with pytest.raises(TypeError, match="unexpected keyword argument 'buffering'"):
        cast("Any", Connection("127.0.0.1")).getresponse(buffering=True)
    assert SEEN == []
    with pytest.raises(http.client.ResponseNotReady):
        Connection("127.0.0.1").getresponse()
    assert SEEN == ["Connection"]


# What goes wrong in a body


def broken(thing: Any) -> None:
    raise LookupError("on purpose")


def weave_broken(weaver: Weaver, step: str, asynchronous: bool) -> Any:
    cls = library(asynchronous)
    weaver.weave([Point(cls, "send", **dict[str, Any]({step: broken}))])
    hook = HOOKS["tests.libraries.test_weaver.broken"]
    hook.reset()
    return cls(), hook


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("step", ["before", "after", "failed"])
def test_a_body_that_fails_is_not_noticed_and_gives_up(weaver: Weaver, step: str, asynchronous: bool) -> None:
    client, hook = weave_broken(weaver, step, asynchronous)
    bare = library(asynchronous)()
    request = "refuse" if step == "failed" else "a"
    for _ in range(ALLOWED + 3):
        assert outcome(client, (request,), {}) == outcome(bare, (request,), {})
    assert repr(hook) == "<Hook tests.libraries.test_weaver.broken off, 3 recent failures>"
    hook.reset()
    outcome(client, (request,), {})
    assert hook.failures == 1, "it is on again where it was woven before"


def test_failures_are_counted_on_the_queue(weaver: Weaver) -> None:
    client, _ = weave_broken(weaver, "before", False)
    reported: list[Any] = []

    def consumer(moment: Any, sheet: Any) -> None:
        reported.append((sheet.hook, sheet.error, sheet.disabled))

    FACTS.add_consumer(consumer)
    try:
        for _ in range(4):
            client.send("a")
        FACTS.settle()
    finally:
        FACTS.remove_consumer(consumer)
    assert [entry[2] for entry in reported] == [False, False, True]


def test_failures_are_forgiven_with_time(weaver: Weaver, monkeypatch: pytest.MonkeyPatch) -> None:
    client, hook = weave_broken(weaver, "before", False)
    clock = itertools.count(1000, FORGIVEN_AFTER / 2 + 1)
    monkeypatch.setattr(hooks, "now", lambda: next(clock))
    for _ in range(20):
        client.send("a")
    assert (hook.failures, hook.disabled) == (2, False)
    monkeypatch.setattr(hooks, "now", lambda: 10_000.0)
    for _ in range(20):
        client.send("a")
    assert (hook.failures, hook.disabled) == (3, True)


def interrupting(thing: Any) -> None:
    signal.raise_signal(signal.SIGUSR1)


def test_what_a_signal_handler_raises_passes(weaver: Weaver) -> None:
    def handler(signum: int, frame: Any) -> None:
        raise TimeoutError("the host's deadline")

    cls = library(False)
    weaver.weave([Point(cls, "send", before=interrupting)])
    outer = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(TimeoutError, match="the host's deadline"):
            cls().send("a")
    finally:
        signal.signal(signal.SIGUSR1, outer)
    assert HOOKS["tests.libraries.test_weaver.interrupting"].failures == 0


def stopping(thing: Any) -> None:
    raise KeyboardInterrupt


def test_a_base_exception_is_the_hosts(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([Point(cls, "send", before=stopping)])
    with pytest.raises(KeyboardInterrupt):
        cls().send("a")


# Coroutines


class Endless:
    async def wait(self):
        await asyncio.Event().wait()


def test_a_cancellation_passes_without_a_frame_of_ours(weaver: Weaver) -> None:
    weaver.weave([Point(Endless, "wait", before=token_of, failed=fails, var=HELD)])

    async def cancelled() -> None:
        task = asyncio.ensure_future(Endless().wait())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            SEEN.append([frame.filename for frame in traceback.extract_tb(error.__traceback__)])

    asyncio.run(cancelled())
    assert SEEN[0] == ("fails", "CancelledError")
    assert not [name for name in SEEN[1] if name.startswith(PACKAGE)]


def token_of(thing: Any) -> Token:
    return Token()


@pytest.mark.parametrize("at_call", [False, True])
def test_a_coroutine_closed_half_way_has_ended(weaver: Weaver, at_call: bool) -> None:
    weaver.weave([Point(Endless, "wait", before=token_of, failed=fails, at_call=at_call)])

    async def close_half_way() -> None:
        coroutine = Endless().wait()
        coroutine.send(None)
        coroutine.close()

    asyncio.run(close_half_way())
    assert SEEN == [("fails", "GeneratorExit")]


class Sleeper:
    async def wait(self):
        await asyncio.sleep(0)


class Heavier(Sleeper):
    async def wait(self):
        await super().wait()


def begun(of: type[Sleeper]) -> types.CoroutineType[Any, Any, None]:
    coroutine: Any = of().wait()
    coroutine.send(None)
    return coroutine


@pytest.mark.parametrize("at_call", [False, True])
@pytest.mark.parametrize("of", [Sleeper, Heavier])
def test_a_coroutine_closed_in_anothers_context_changes_nothing_there(
    weaver: Weaver, of: type[Sleeper], at_call: bool
) -> None:
    """A loop may be closed with tasks in it, and the garbage collector takes these wherever it runs."""
    points = [
        Point(cls, "wait", before=token_of, failed=fails, var=HELD, at_call=at_call)
        for cls in (Sleeper, Heavier)
    ]
    weaver.weave(points)

    def elsewhere() -> None:
        coroutine = contextvars.copy_context().run(begun, of)
        held = [(HELD, Token()), (points[0].inside, (id(points), object))]
        for var, value in held:
            var.set(value)
        coroutine.close()
        assert [var.get() for var, _ in held] == [value for _, value in held]

    contextvars.copy_context().run(elsewhere)
    assert SEEN == [("fails", "GeneratorExit")]


def test_a_coroutine_closed_where_it_ran_holds_nothing_there(weaver: Weaver) -> None:
    weaver.weave([Point(Sleeper, "wait", before=token_of, failed=fails, var=HELD)])
    coroutine = begun(Sleeper)
    assert HELD.get() is not None
    coroutine.close()
    assert HELD.get() is None


# Calls by super()


class Base:
    def connect(self, again=0):
        return "connected" if again == 0 else self.connect(again - 1)

    async def open(self):
        await asyncio.sleep(0)
        return "open"


class Heir(Base):
    def connect(self, again=0):
        return super().connect(again)

    async def open(self):
        return await super().open()


class Grandchild(Heir):
    def connect(self, again=0):
        return super().connect(again)


class Stranger(Base):
    def connect(self, again=0):
        return "its own way"


def counts(thing: Any) -> None:
    SEEN.append(type(thing).__name__)


CONNECTIONS = (Point(Base, "connect", before=counts), Point(Base, "open", before=counts))


def test_a_method_that_calls_the_bases_counts_once(weaver: Weaver) -> None:
    weaver.weave(CONNECTIONS)
    for seen in (Grandchild, Heir, Stranger):
        weaver.weave_on_sight(seen, CONNECTIONS)
    for cls in (Base, Heir, Grandchild, Stranger):
        cls().connect()
        asyncio.run(cls().open())
    assert SEEN == [name for cls in ("Base", "Heir", "Grandchild", "Stranger") for name in (cls, cls)]
    SEEN.clear()
    Heir().connect(again=2)
    assert SEEN == ["Heir"] * 3, "calling itself anew is another call"
    SEEN.clear()
    Base.connect(Heir())
    assert SEEN == ["Heir"]


def test_until_then_the_bases_method_pays_nothing_for_it(weaver: Weaver) -> None:
    weaver.weave(CONNECTIONS)
    assert "_ps_inside" not in Base.connect.__code__.co_names
    weaver.weave_on_sight(Heir, CONNECTIONS)
    assert "_ps_inside" in Base.connect.__code__.co_names
    with pytest.raises(TypeError) as caught:
        cast("Any", Heir()).connect("no number")
    assert not [f for f in traceback.extract_tb(caught.value.__traceback__) if f.filename.startswith(PACKAGE)]


def test_one_object_inside_another_of_its_kind_is_another_call(weaver: Weaver) -> None:
    class Tunnel(Heir):
        def connect(self, again=0):
            return Base().connect(), super().connect(again)

    weaver.weave(CONNECTIONS)
    weaver.weave_on_sight(Tunnel, CONNECTIONS)
    Tunnel().connect()
    assert SEEN == ["Tunnel", "Base"]


# Classes seen at run time


def test_a_class_is_woven_where_its_method_is_defined(weaver: Weaver) -> None:
    class Custom:
        def connect(self):
            return "custom"

    class Derived(Custom):
        pass

    weaver.weave_on_sight(Derived, CONNECTIONS)
    weaver.weave_on_sight(Derived, CONNECTIONS)
    weaver.weave_on_sight(Custom, CONNECTIONS)
    assert "connect" not in vars(Derived)
    assert Custom().connect() == Derived().connect() == "custom"
    assert SEEN == ["Custom", "Derived"]
    weaver.restore()
    assert not hasattr(Custom.connect, "__wrapped__")


def test_the_standard_librarys_classes_stay_as_they_are(weaver: Weaver) -> None:
    import http.client

    class Connection(http.client.HTTPConnection):
        pass

    there = http.client.HTTPConnection.close
    weaver.weave_on_sight(Connection, (Point(Connection, "close", before=counts),))
    http.client.HTTPConnection("127.0.0.1").close()
    Connection("127.0.0.1").close()
    assert SEEN == ["Connection"]
    assert http.client.HTTPConnection.close is there
    weaver.restore()
    assert "close" not in vars(Connection)


def test_a_class_seen_once_is_not_kept_alive(weaver: Weaver) -> None:
    class Custom(Base):
        def connect(self, again=0):
            return super().connect(again)

    weaver.weave(CONNECTIONS)
    weaver.weave_on_sight(Custom, CONNECTIONS)
    there = weakref.ref(Custom)
    del Custom
    gc.collect()
    assert there() is None
    weaver.restore()


def test_threads_that_see_a_class_at_once_weave_it_once(weaver: Weaver) -> None:
    for _ in range(20):

        class Custom:
            def connect(self):
                return "custom"

        start = threading.Barrier(8)

        def sees(cls: type = Custom, start: threading.Barrier = start) -> None:
            start.wait()
            weaver.weave_on_sight(cls, CONNECTIONS)

        threads = [threading.Thread(target=sees) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        SEEN.clear()
        Custom().connect()
        assert SEEN == ["Custom"]


def test_a_thread_goes_on_only_with_a_class_that_is_woven(weaver: Weaver) -> None:
    """Otherwise it would set up a connection without our seeing its first steps and its close."""
    half, go = threading.Event(), threading.Event()

    class Slow(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            half.set()
            go.wait(10)
            super().__setattr__(name, value)

    class Custom(metaclass=Slow):
        def connect(self):
            return "custom"

    woven: list[bool] = []

    def sees() -> None:
        weaver.weave_on_sight(Custom, CONNECTIONS)
        woven.append(hasattr(Custom.connect, "__wrapped__"))

    first, second = threading.Thread(target=sees), threading.Thread(target=sees)
    first.start()
    half.wait(10)
    second.start()
    second.join(0.1)
    go.set()
    first.join()
    second.join()
    assert woven == [True, True]


@pytest.mark.parametrize("owner", [types.ModuleType("lib"), type("Own", (bytearray,), {})], ids=str)
def test_around_a_function_in_c_nothing_is_prepared_for_a_coroutine(weaver: Weaver, owner: Any) -> None:
    if isinstance(owner, types.ModuleType):
        vars(owner)["append"] = [].append
    weaver.weave([Point(owner, "append", before=lambda thing: SEEN.append("begins"))])
    thing = owner if isinstance(owner, types.ModuleType) else owner()
    assert thing.append(1) is None
    assert SEEN == ["begins"]
    assert not [
        const for const in vars(owner)["append"].__code__.co_consts if isinstance(const, types.CodeType)
    ]


def test_an_inherited_method_is_found_at_each_call(weaver: Weaver) -> None:
    """A point names a class that inherits its method; another class may be put in between later."""

    class Owner(Base):
        pass

    class Between(Base):
        def connect(self, again=0):
            return "between"

    class Mixed(Owner, Between):
        pass

    weaver.weave([Point(Owner, "connect", before=counts)])
    assert (Owner().connect(), Mixed().connect()) == ("connected", "between")
    assert SEEN == ["Owner", "Mixed"]
    weaver.restore()
    assert "connect" not in vars(Owner)


# Other tools, before and after us


def test_ours_goes_below_what_wrapt_put_there(weaver: Weaver) -> None:
    cls = library(False)
    plain = vars(cls)["send"]

    def theirs(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        SEEN.append("theirs")
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(cls, "send", theirs)
    weaver.weave([send_point(cls)])
    cls().send("a")
    assert [SEEN[0], SEEN[1][0]] == ["theirs", "begins"]
    weaver.restore()
    assert vars(cls)["send"].__wrapped__ is plain


def test_a_vendored_wrapt_is_wrapt_too(weaver: Weaver) -> None:
    class ObjectProxy:
        """Agents bring their own copy, under their own name."""

        def __init__(self, wrapped: Any) -> None:
            self.__wrapped__ = wrapped
            self._self_wrapper = traced

        def __get__(self, thing: Any, cls: type) -> Any:
            return self.__wrapped__.__get__(thing, cls)

    cls = library(False)
    plain = vars(cls)["send"]
    theirs = cls.send = ObjectProxy(plain)
    weaver.weave([send_point(cls)])
    assert vars(cls)["send"] is theirs
    assert cls().send("a")[3]
    weaver.restore()
    assert theirs.__wrapped__ is plain


def test_they_take_theirs_out_first(weaver: Weaver) -> None:
    cls = library(False)
    plain = vars(cls)["send"]
    wrapt.wrap_function_wrapper(cls, "send", traced)
    weaver.weave([send_point(cls)])
    cls.send = vars(cls)["send"].__wrapped__  # as their uninstrument() does
    assert cls().send("a")[3]
    weaver.restore()
    assert vars(cls)["send"] is plain


def test_they_come_after_us_and_stay(weaver: Weaver) -> None:
    cls = library(False)
    plain = vars(cls)["send"]
    weaver.weave([send_point(cls)])
    wrapt.wrap_function_wrapper(cls, "send", traced)
    assert cls().send("a")[3]
    weaver.restore()
    assert vars(cls)["send"].__wrapped__ is plain


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_wrapper_put_over_ours_runs_on_without_us(weaver: Weaver, asynchronous: bool) -> None:
    cls = library(asynchronous)
    weaver.weave([send_point(cls)])
    theirs = cls.send = decorated(cls.send)
    weaver.restore()
    assert vars(cls)["send"] is theirs
    assert outcome(cls(), ("a",), {}) == ("a", 5, False, False)
    assert SEEN == []
    weaver.weave([send_point(cls)])
    assert outcome(cls(), ("a",), {}) == ("a", 5, False, True)
    assert len(SEEN) == 2, "the first wrapper states nothing any more"


def test_weaving_twice_is_once(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([send_point(cls)])
    weaver.weave([send_point(cls)])
    cls.send = decorated(cls.send)
    weaver.weave([send_point(cls)])
    cls().send("a")
    assert len(SEEN) == 2


def test_two_points_at_one_method_both_see_it(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([send_point(cls), Point(cls, "send", before=counts)])
    cls().send("a")
    assert SEEN[0] == "Client"
    assert len(SEEN) == 3
    weaver.restore()
    assert not hasattr(cls.send, "__wrapped__")


# Functions of modules, and what is missing


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("a_library")
    source = """
        def resolve(host, port=80):
            return [(host, port)]

        async def resolve_async(host):
            return [host]

        class Pool:
            class Stream:
                def close(self):
                    return "closed"
    """
    exec(textwrap.dedent(source), vars(module))
    monkeypatch.setitem(sys.modules, "a_library", module)
    return module


def resolves(host: Any, port: Any) -> None:
    SEEN.append((host, port))


def test_functions_of_a_module_are_woven(weaver: Weaver, module: Any) -> None:
    names = [("resolve", ("a", "a_library")), ("resolve_async", ("b",))]
    weaver.weave([Point(module, name, before=resolves, takes=("host", "port")) for name, _ in names])
    assert module.resolve("a") == [("a", 80)]
    assert asyncio.run(module.resolve_async("b")) == ["b"]
    assert SEEN == [("a", 80), ("b", None)]
    weaver.restore()
    assert not hasattr(module.resolve, "__wrapped__")


def test_points_are_named_as_seen_from_the_library(weaver: Weaver, module: Any) -> None:
    points = [
        Point("Pool.Stream", "close", before=counts),
        Point("Pool", "acquire", before=counts),
        Point("Pool", "optional", before=counts, missing_ok=True),
        Point("elsewhere.Pool", "close", before=counts),
    ]
    weaver.weave(points, module)
    assert module.Pool.Stream().close() == "closed"
    assert SEEN == ["Stream"]
    assert missing(points, module) == ["a_library.Pool.acquire", "a_library.elsewhere.Pool.close"]


def test_a_point_cannot_hold_a_token_that_nothing_returns() -> None:
    with pytest.raises(ValueError, match="a token is what `before` returns"):
        Point(Base, "connect", after=ends)


def test_its_parts_say_what_they_are(weaver: Weaver) -> None:
    weaver.weave(CONNECTIONS[:1])
    assert repr(CONNECTIONS[0]) == "<Point Base.connect tests.libraries.test_weaver.counts>"
    assert "Base" in repr(weaver)


# The code


def test_the_code_of_one_shape_is_compiled_once(weaver: Weaver) -> None:
    one, two = library(False), library(False)
    weaver.weave([send_point(one), send_point(two)])
    assert one.send.__code__.co_code is two.send.__code__.co_code or (
        one.send.__code__.co_filename == two.send.__code__.co_filename
    )


def test_its_source_can_be_shown(weaver: Weaver) -> None:
    cls = library(False)
    weaver.weave([send_point(cls)])
    code = cls.send.__code__
    assert code.co_filename.startswith(PACKAGE)
    linecache.lazycache(code.co_filename, cls.send.__globals__)
    assert linecache.getline(code.co_filename, 1) == "def _ps_wrapper(self, request, timeout, *, stream):\n"


def test_weaving_imports_nothing_slow() -> None:
    program = f"""
import sys, types
there = set(sys.modules)
package = sys.modules["poolscope"] = types.ModuleType("poolscope")  # without what the doors need
package.__path__ = [{PACKAGE!r}]
import poolscope.libraries.weaver
print(sorted({{"inspect", "dataclasses", "linecache"}} & set(sys.modules) - there))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def walks(thing: Any, frames: Callable[[int], Any]) -> None:
    SEEN.append(frames(2).f_code.co_name)


def walks_after(thing: Any, result: Any, frames: Callable[[int], Any]) -> None:
    SEEN.append(frames(2).f_code.co_name)


def test_a_body_may_ask_for_the_frame_only_when_it_needs_one(weaver: Weaver) -> None:
    class Library:
        def plain(self) -> str:
            return "done"

        async def later(self) -> str:
            return "done"

    points = [Point(Library, name, before=walks, after=walks_after) for name in ("plain", "later")]
    weaver.weave(points)

    async def awaits_it() -> str:
        return await Library().later()

    def calls_it() -> str:
        return Library().plain()

    assert (calls_it(), asyncio.run(awaits_it())) == ("done", "done")
    assert SEEN == ["calls_it"] * 2 + ["awaits_it"] * 2
