"""Threads may raise one exception object at once, as those of an HTTP/2 connection do: none sees a frame of ours."""

from __future__ import annotations

import _thread
import gc
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest

import poolscope
from poolscope.libraries.point import Point
from poolscope.libraries.weaver import Weaver
from poolscope.story.hook import HOOKS
from poolscope.testing import capture
from tests.servers import ServerConfig, in_thread

PACKAGE = str(Path(poolscope.__file__).parent)
HELD: ContextVar[Any] = ContextVar("held", default=None)
MEANWHILE: list[Callable[[BaseException], Any]] = []


class SharedError(Exception):
    """The library raises one object of it again and again."""


class Connection:
    def __init__(self) -> None:
        self.error = SharedError()

    def read(self) -> None:
        raise self.error

    async def aread(self) -> None:
        raise self.error


class Stream(Connection):
    def read(self) -> None:
        super().read()

    async def aread(self) -> None:
        await super().aread()


def token_of(thing: Any) -> object:
    return object()


def fails(thing: Any, error: BaseException) -> None:
    for each in MEANWHILE:
        each(error)


@pytest.fixture(params=["read", "aread"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["alone", "with a variable", "with a method of its base", "without a body"])
def woven(request: pytest.FixtureRequest, method: str) -> Iterator[type[Connection]]:
    """A class with a woven method; `MEANWHILE` runs while an exception passes through it."""
    weaver = Weaver()
    options: dict[str, Any] = {"failed": fails}
    if request.param == "with a variable":
        options |= {"before": token_of, "var": HELD}
    if request.param == "without a body":
        options = {"before": token_of}
    point = Point(Connection, method, **options)
    weaver.weave([point])
    cls = Connection
    if request.param == "with a method of its base":
        cls = Stream
        weaver.weave_on_sight(Stream, (point,))
    yield cls
    weaver.restore()
    MEANWHILE.clear()
    failures = [hook.name for hook in HOOKS.values() if hook.failures]
    for hook in HOOKS.values():
        hook.reset()
    assert failures == []


def read(connection: Connection, method: str) -> None:
    if method == "read":
        connection.read()
    else:
        connection.aread().send(None)


def seen(connection: Connection, method: str) -> TracebackType | None:
    """The traceback with which an exception arrives."""
    try:
        read(connection, method)
    except SharedError as error:
        return error.__traceback__  # nothing is called before it is taken, so no other thread runs
    return None


def frames(traceback: TracebackType | None) -> list[tuple[str, str]]:
    found = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        found.append((code.co_filename, code.co_name))
        traceback = traceback.tb_next
    return found


def ours(error: BaseException) -> list[tuple[str, str]]:
    return [frame for frame in frames(error.__traceback__) if frame[0].startswith(PACKAGE)]


def raised_anew(error: BaseException) -> None:
    try:
        raise error.with_traceback(None)
    except SharedError:
        return


def raised_in_another_thread(error: BaseException) -> None:
    thread = threading.Thread(target=raised_anew, args=(error,))
    thread.start()
    thread.join()


@contextmanager
def switching_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def test_another_thread_never_finds_our_frame(woven: type[Connection], method: str) -> None:
    found: list[Any] = []
    MEANWHILE.append(lambda error: found.extend(ours(error)))
    assert seen(woven(), method) is not None
    assert found == []


def test_another_threads_traceback_does_not_replace_its_own(woven: type[Connection], method: str) -> None:
    connection = woven()
    alone = frames(seen(connection, method))
    MEANWHILE.append(raised_in_another_thread)
    connection.error.__traceback__ = None
    assert frames(seen(connection, method)) == alone


def test_whenever_threads_switch_each_sees_its_own_frames(woven: type[Connection], method: str) -> None:
    connection, over = woven(), threading.Event()
    alone = frames(seen(connection, method))
    found: set[Any] = set()

    def meanwhile() -> None:
        while not over.is_set():
            found.update(ours(connection.error))
            raised_anew(connection.error)

    thread = threading.Thread(target=meanwhile)
    with switching_often():
        thread.start()
        try:
            for _ in range(10_000):
                connection.error.__traceback__ = None
                found.update(set(frames(seen(connection, method))[: len(alone)]) ^ set(alone))
        finally:
            over.set()
            thread.join()
    assert found == set()


class Interrupted(Connection):
    """A Ctrl-C comes while its method, in C, raises: its handler runs at the next end of a call, in the wrapper."""

    def read(self) -> None:
        sum(map(_thread.interrupt_main, [signal.SIGINT]))  # type: ignore[arg-type]  # a TypeError, in C

    async def aread(self) -> None:
        self.read()


@pytest.mark.parametrize("options", [{}, {"failed": fails}], ids=["without a body", "with a body"])
def test_a_signal_leaves_no_variable_set_and_nothing_behind(method: str, options: dict[str, Any]) -> None:
    weaver = Weaver()
    weaver.weave([Point(Interrupted, method, before=token_of, var=HELD, **options)])
    connection = Interrupted()
    kept = weakref.ref(connection)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(KeyboardInterrupt):
            read(connection, method)
        assert HELD.get() is None
        del connection
        assert kept() is None
    finally:
        gc.enable()
        weaver.restore()


def test_a_wrapper_keeps_nothing_of_an_exception(woven: type[Connection], method: str) -> None:
    connection = woven()
    kept = weakref.ref(connection), weakref.ref(connection.error)
    gc.collect()
    gc.disable()
    try:
        seen(connection, method)
        connection.error = SharedError()  # its traceback leads to the connection
        del connection
        assert [each() for each in kept] == [None, None]
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_threads_on_one_http2_connection() -> None:
    found: list[Any] = []
    ended: list[str] = []

    def ask(client: httpx.Client, url: str) -> None:
        try:
            client.get(url, timeout=0.05)
        except (
            Exception
        ) as error:  # httpcore and h2 let threads collide: it may be a KeyError or RuntimeError
            chain: BaseException | None = error
            while chain is not None:
                ended.append(type(chain).__name__)
                found.extend(ours(chain))
                chain = chain.__cause__ or chain.__context__

    with in_thread(ServerConfig("http2")) as server, capture(), switching_often():
        for number in range(40):
            if number > 3 and ended.count("ReadTimeout") > 8:
                break
            with httpx.Client(http1=False, http2=True) as client:
                client.get(server.url("/fixed"))
                url = server.url(f"/silence/{number}")
                threads = [threading.Thread(target=ask, args=(client, url)) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
    assert ended.count("ReadTimeout") > 8
    assert found == []
    gc.collect()  # where its threads collide, httpcore leaves a socket to the garbage collector
