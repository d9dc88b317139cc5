"""Hooks keep their failures to themselves, stay out of tracebacks, and restore only what is theirs."""

from __future__ import annotations

import dataclasses
import functools
import signal
import traceback

import pytest
import wrapt

from poolscope.hooks.guarding import FAILURES_ALLOWED, HOOKS, guard, hide_frame
from poolscope.hooks.patching import Patches
from poolscope.hooks.traced import TracedClasses


class Thing:
    def speak(self):
        return "original"


class Heir(Thing):
    pass


class Slotted:
    __slots__ = ("value",)


def shout(original):
    def speak(self):
        return original(self).upper()

    return speak


@pytest.fixture
def flaky():
    @guard("test.flaky")
    def flaky(value):
        return 1 / value

    yield flaky
    del HOOKS["test.flaky"]


def test_a_hook_that_raises_yields_none_and_switches_itself_off(flaky):
    hook = HOOKS["test.flaky"]
    assert flaky(2) == 0.5
    for count in range(1, FAILURES_ALLOWED + 1):
        assert flaky(0) is None
        assert hook.failures == count
    assert flaky(2) is None
    assert repr(hook) == "<Hook test.flaky off, 3 failures>"
    hook.reset()
    assert flaky(2) == 0.5


def test_what_belongs_to_the_host_passes(flaky):
    def interrupted(value):
        raise KeyboardInterrupt

    HOOKS["test.flaky"].body = interrupted
    with pytest.raises(KeyboardInterrupt):
        flaky(1)
    assert HOOKS["test.flaky"].failures == 0


def handler(signum, frame):
    raise TimeoutError("the host's deadline")


class Handler:
    def __call__(self, *details):
        raise TimeoutError("the host's deadline")


@pytest.mark.parametrize("handle", [handler, Handler(), functools.partial(handler)])
def test_what_a_signal_handler_raises_passes(flaky, handle):
    def interrupted(value):
        signal.raise_signal(signal.SIGUSR1)
        return value

    HOOKS["test.flaky"].body = interrupted
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(TimeoutError, match="the host's deadline"):
            flaky(1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert HOOKS["test.flaky"].failures == 0


def test_a_wrapper_leaves_no_frame_in_a_traceback():
    def library():
        raise ValueError("from the library")

    def wrapper():
        try:
            return library()
        except BaseException as error:
            hide_frame(error)
            raise

    with pytest.raises(ValueError, match="from the library") as caught:
        wrapper()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[1:] == ["library"]


def test_a_coroutine_wrapper_leaves_no_frame_either():
    async def library():
        raise ValueError("late")

    async def wrapper():
        try:
            return await library()
        except BaseException as error:
            hide_frame(error)
            raise

    import asyncio

    with pytest.raises(ValueError, match="late") as caught:
        asyncio.run(wrapper())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "wrapper" not in names
    assert names[-1] == "library"


def test_an_exception_that_cannot_be_changed_passes_as_it_is():
    @dataclasses.dataclass(frozen=True)
    class Frozen(Exception):
        code: int

    def wrapper():
        try:
            raise Frozen(3)
        except BaseException as error:
            hide_frame(error)
            raise

    with pytest.raises(Frozen):
        wrapper()


def test_restore_puts_back_what_was():
    patches = Patches()
    before = vars(Thing)["speak"]
    assert patches.replace(Thing, "speak", shout)
    assert Thing().speak() == "ORIGINAL"
    assert repr(patches) == "<Patches Thing.speak>"
    patches.restore()
    assert vars(Thing)["speak"] is before


def test_an_inherited_method_is_wrapped_where_it_was_asked_for():
    patches = Patches()
    patches.replace(Heir, "speak", shout)
    assert (Heir().speak(), Thing().speak()) == ("ORIGINAL", "original")
    patches.restore()
    assert "speak" not in vars(Heir)


def test_what_somebody_else_put_over_ours_is_left_alone():
    class Spoken(Thing):
        def speak(self):
            return "original"

    patches = Patches()
    patches.replace(Spoken, "speak", shout)
    Spoken.speak = lambda self: "theirs"
    patches.restore()
    assert Spoken().speak() == "theirs"


def test_a_name_that_is_not_there_is_said_to_be_missing():
    assert Patches().replace(Thing, "sing", shout) is False


def test_a_traced_class_looks_like_the_original():
    traced = TracedClasses({"speak": shout, "missing": shout})
    thing = Thing()
    identity = id(thing)
    assert traced.adopt(thing)
    assert thing.speak() == "ORIGINAL"
    assert isinstance(thing, Thing)
    assert id(thing) == identity
    assert (type(thing).__name__, type(thing).__module__) == ("Thing", __name__)
    assert traced.of(type(thing)) is type(thing)
    assert not hasattr(thing, "missing")


def test_what_is_replaced_later_counts(monkeypatch):
    traced = TracedClasses({"speak": shout})
    early, late = Thing(), Thing()
    traced.adopt(early)
    monkeypatch.setattr(Thing, "speak", lambda self: "replaced")
    traced.adopt(late)
    assert (early.speak(), late.speak()) == ("ORIGINAL", "REPLACED")
    traced.adopt(early)
    assert early.speak() == "REPLACED"
    monkeypatch.undo()
    traced.adopt(late)
    assert late.speak() == "ORIGINAL"
    assert type(late).__mro__.count(Thing) == 1


def test_a_method_can_be_looked_up_with_each_call(monkeypatch):
    def hidden(original):
        def speak(self):
            try:
                return original(self).upper()
            except BaseException as error:
                hide_frame(error)
                raise

        return speak

    def broken(self):
        raise ValueError("broken")

    thing = Thing()
    TracedClasses({"speak": hidden}, by_name=True).adopt(thing)
    monkeypatch.setattr(Thing, "speak", lambda self: "replaced")
    assert thing.speak() == "REPLACED"
    monkeypatch.setattr(Thing, "speak", broken)
    with pytest.raises(ValueError, match="broken") as caught:
        thing.speak()
    assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][1:] == ["broken"]


def test_a_wrapper_of_wrapts_is_no_change(monkeypatch):
    monkeypatch.setattr(
        Thing, "speak", wrapt.FunctionWrapper(Thing.speak, lambda inner, *_: f"wrapped {inner()}")
    )
    traced = TracedClasses({"speak": shout})
    one, two = Thing(), Thing()
    traced.adopt(one)
    traced.adopt(two)
    assert type(one) is type(two)
    assert two.speak() == "WRAPPED ORIGINAL"


def test_a_thing_that_is_given_up_is_what_it_was():
    collected = []
    traced = TracedClasses({"speak": shout}, finalizer=collected.append)
    thing = Thing()
    traced.adopt(thing)
    thing._poolscope = "a mark"
    traced.give_up(thing)
    traced.give_up(thing)
    assert (type(thing), thing._poolscope, thing.speak()) == (Thing, "a mark", "original")
    del thing
    assert collected == []


def test_a_thing_that_cannot_change_its_class_is_left():
    class Other(Slotted):
        __slots__ = ("more",)

    assert TracedClasses({"__repr__": shout}).adopt(object()) is False
