"""Recording without ``poolscope run``: what the interpreter's start-up does when a variable asks for it.

POOLSCOPE=1 (or options, as in ``POOLSCOPE="--save calls.jsonl"``) makes a process the first of its
family; POOLSCOPE_FOLLOW, set by such a process or by ``run``, makes it a child.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

VARIABLE: Final = "POOLSCOPE"
_OFF: Final = ("", "0", "false", "off", "no")
_WITH_VALUE: Final = ("-X", "-W", "--check-hash-based-pycs")
"""The interpreter's own options that take the next word."""
_tried = False


def activate() -> None:
    """Start recording if the environment says so; never raises, and prints only about options that are wrong."""
    global _tried
    if _tried:  # where lib64 is a link to lib, the same .pth is read twice
        return
    _tried = True
    try:
        _activate()
    except Exception as error:
        from poolscope.recording.stderr import note

        note(f"not recording: {error}")


def _activate() -> None:
    asked = os.environ.get(VARIABLE, "").strip().lower() not in _OFF
    if not asked and "POOLSCOPE_FOLLOW" not in os.environ:
        return
    from poolscope.supported import NotSupportedError, recording_refusal

    reason = recording_refusal()
    if reason is not None:
        raise NotSupportedError(reason)
    from poolscope.recording import child_env, session
    from poolscope.recording.spools import has_spool

    if session.active() is not None or _is_poolscope() or _is_helper() or not _is_main_interpreter():
        return
    value = os.environ.get(child_env.FOLLOW)
    if value and child_env.is_first(value):
        # No process is left to read this spool: record anew if the variable is set, else not at all.
        del os.environ[child_env.FOLLOW]
        value = None
    if value:
        options, directory = child_env.followed(value)
        if not has_spool(directory):
            session.Session(options, program_name(), directory).start()
    elif asked:
        from poolscope.recording.options import parse_variable

        options = parse_variable(os.environ[VARIABLE])
        if not options.follow:  # then no child of it may believe that it is the first
            del os.environ[VARIABLE]
        first = session.Session(options, program_name())
        first.silent_if_nothing = True
        first.start()


def program_name() -> str:
    """The command, without its arguments: they may hold secrets."""
    words = iter(sys.orig_argv[1:])
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif word.startswith("-") and not word.startswith("--") and word[1:2] not in ("", "X", "W"):
            flags, _, attached = word[1:].partition("m")
            if "c" in flags:
                return "-c"
            if "m" in word:
                return attached or next(words, "-m")
        elif not word.startswith("-"):
            return os.path.basename(word)
    return os.path.basename(sys.executable)


def _is_poolscope() -> bool:
    """Whether this is our own command, which starts its own recording if it needs one."""
    return program_name() in ("poolscope", "poolscope.__main__")


def _is_helper() -> bool:
    return any("multiprocessing.resource_tracker" in word for word in sys.orig_argv)


def _is_main_interpreter() -> bool:
    """A subinterpreter reads the same .pth, and the program that ends it would find poolscope's thread in it."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # from 3.13 on, and before
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        return bool(interpreters.get_current() == interpreters.get_main())
    return True
