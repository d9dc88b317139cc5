"""Every method that we hook is another tool's descriptor before: each library works, and is seen."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest
import wrapt

from poolscope.libraries.known import LIBRARIES
from poolscope.libraries.weaver import owner_of
from poolscope.testing import capture
from tests.servers import Running
from tests.truth import judge
from tests.truth.chaos import Play, each_twice
from tests.truth.probes import ALL, PROBES, Options


class Plain:
    """A descriptor that can bind, and nothing else."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, thing: Any, cls: type) -> Any:
        return self if thing is None else self.function.__get__(thing, cls)


class Counting:
    """An agent's wrapper: it is called with what it wraps, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        self.calls += 1
        return wrapped(*args, **kwargs)


CALLERS = {importlib.import_module(name).__file__ for name in ("tests.truth.probes", "tests.truth.chaos")} | {
    __file__
}
COUNTING = Counting()


def swallowing(function: Any) -> Any:
    """A function with a signature that says nothing, as decorators without `functools.wraps` leave it."""
    return lambda *args, **kwargs: function(*args, **kwargs)


DESCRIPTORS: dict[str, Callable[[Any], Any]] = {
    "a partialmethod": functools.partialmethod,
    "a wrapper of wrapt's": lambda function: wrapt.FunctionWrapper(function, COUNTING),
    "a plain descriptor": Plain,
    "a function of any arguments": swallowing,
}


def hooked_methods() -> Iterator[tuple[Any, str]]:
    """Every (class, method) of our points where the method is a function of that class."""
    for name, library in LIBRARIES.items():
        if find_spec(name) is None:  # httpx2 is younger than some of the libraries in the old environments
            continue
        module = importlib.import_module(name)
        for point in importlib.import_module(library.hooks).points(module):
            owner = owner_of(point, module)
            if isinstance(owner, type) and type(vars(owner).get(point.method)).__name__ == "function":
                yield owner, point.method


METHODS = list(dict.fromkeys(hooked_methods()))


@pytest.fixture
def there_before(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor of this test, on all these methods."""
    for owner, method in METHODS:
        monkeypatch.setattr(owner, method, DESCRIPTORS[request.param](vars(owner)[method]))


def test_there_are_many() -> None:
    libraries = {"httpcore", "httpcore2", "httpx", "httpx2", "urllib3", "requests", "aiohttp"}
    assert {name for name in libraries if find_spec(name)} == {
        owner.__module__.partition(".")[0] for owner, _ in METHODS
    } - {"socks", "concurrent", "multiprocessing"}


@pytest.mark.parametrize("there_before", DESCRIPTORS, indirect=True)
@pytest.mark.parametrize("name", ALL)
def test_it_works_and_is_seen(name: str, there_before: None, server: Running) -> None:
    COUNTING.calls = 0
    with capture() as seen:
        with PROBES[name]() as probe:
            probe.build(Options())
            play = Play(probe, server)
            each_twice("fixed", "redirect/fixed", "chunked", "close")(play)
            play.get("fixed", body=iter([b"one", b"two"]))
            held = probe.open(play.url("size/400000"))
            probe.leave(held)
            probe.close()
        log = play.settled(lambda log: log.open == 0)
        seen.settle()
    assert [how for how, *_ in play.outcomes] == ["returned"] * 13
    verdict = judge.judge(seen.connections, seen.exchanges, log)
    # We read who closed a connection from the calling frame; that is the wrapper's own, if it has a frame.
    assert [said for said in verdict.wrong if not said.startswith("reason:")] == [], str(verdict)
    assert len(seen.exchanges) == len(log.requests) >= 14  # some libraries follow the two redirects
    assert [client.requests for client in seen.clients] == [len(log.requests)]
    assert {exchange.call_site.file for exchange in seen.exchanges if exchange.call_site} <= CALLERS
