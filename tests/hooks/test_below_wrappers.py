"""A hook goes below what somebody wrapped with wrapt, and comes out again whatever they did meanwhile."""

from __future__ import annotations

import wrapt

from poolscope.hooks.patching import Patches


def scene():
    class Library:
        def send(self, told):
            told.append("library")
            return self

    def theirs(wrapped, instance, args, kwargs):
        args[0].append(type(instance).__name__)
        return wrapped(*args, **kwargs)

    def ours(original):
        def send(self, told):
            told.append("ours")
            return original(self, told)

        return send

    return Library, Library.__dict__["send"], theirs, ours


def calls(library):
    told: list[str] = []
    thing = library()
    assert thing.send(told) is thing
    return told


def test_ours_goes_below_theirs_and_out_again() -> None:
    library, plain, theirs, ours = scene()
    wrapt.wrap_function_wrapper(library, "send", theirs)
    patches = Patches()
    assert patches.replace(library, "send", ours)
    assert calls(library) == ["Library", "ours", "library"]
    patches.restore()
    assert calls(library) == ["Library", "library"]
    assert library.__dict__["send"].__wrapped__ is plain


def test_they_take_theirs_out_first() -> None:
    library, plain, theirs, ours = scene()
    wrapt.wrap_function_wrapper(library, "send", theirs)
    patches = Patches()
    patches.replace(library, "send", ours)
    library.send = library.__dict__["send"].__wrapped__  # as their uninstrument() does
    assert calls(library) == ["ours", "library"]
    patches.restore()
    assert library.__dict__["send"] is plain


def test_they_come_after_us_and_stay() -> None:
    library, plain, theirs, ours = scene()
    patches = Patches()
    patches.replace(library, "send", ours)
    wrapt.wrap_function_wrapper(library, "send", theirs)
    assert calls(library) == ["Library", "ours", "library"]
    patches.restore()
    assert calls(library) == ["Library", "library"]
    assert library.__dict__["send"].__wrapped__ is plain
