"""``poolscope run``: the program between the recording's start and its report.

An uncaught exception is left to the interpreter, which prints it, ends with the right status and, for
Ctrl-C, dies by SIGINT; only the traceback's head, which is ours, is taken off right before printing.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from poolscope.libraries.guard import hide_frame
from poolscope.recording import program
from poolscope.recording.gate import FAILED
from poolscope.recording.options import Options
from poolscope.recording.session import Session


def prepare(options: Options) -> Callable[[], None]:
    """Check everything and start recording; the result runs the program to its end.

    UsageError if there is no such program, or a file cannot be written.
    """
    program.check(options)
    session = Session(options, program.name_of(options))
    session.start()
    main = program.Main(options)
    return lambda: _run(main, session)


def _run(main: program.Main, session: Session) -> None:
    try:
        main.execute()
    except SystemExit as error:
        session.exit_code = _status(error.code)
        if session.exit_code == 0:
            _end_by_gate(session)
        raise
    except BaseException as error:
        session.exit_code = (
            -2 if type(error) is KeyboardInterrupt else 1
        )  # Python, too, asks for exactly this
        _show_without_us(error, main)
        if isinstance(error, ModuleNotFoundError) and not session.options.quiet:
            session.hint = elsewhere(error.name)
        raise
    session.exit_code = 0
    _end_by_gate(session)


def _end_by_gate(session: Session) -> None:
    """End with a status of our own if a finding fails the run.

    Python fixes its status before the atexit handlers run, and our handler, which makes the findings, is the last
    one. So the steps of a program's end happen here, in the same order.
    """
    if session.options.fail_on is None:
        return
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if session.gate.failed:
        raise SystemExit(FAILED)


def elsewhere(module: str | None) -> str:
    """Advice about a missing module: often it is installed, but not beside poolscope."""
    return (
        f"{module} is not installed beside poolscope, in {sys.prefix}. If your program has an environment of its own, "
        "install poolscope there, and start it with that Python: python -m poolscope run …"
    )


def _status(code: Any) -> int:
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _show_without_us(error: BaseException, main: program.Main) -> None:
    """Give the interpreter's next call of the excepthook only the program's part of the traceback."""
    shown = _without_head(error.__traceback__)
    theirs = getattr(sys, "excepthook", None)
    if theirs is None:  # deleted by the program: the interpreter reports that itself
        return

    def excepthook(kind: type[BaseException], value: BaseException, _: TracebackType | None) -> None:
        if sys.excepthook is excepthook:
            sys.excepthook = theirs
        value.__traceback__ = sys.last_traceback = shown
        try:
            theirs(kind, value, shown)
        except BaseException as failure:
            hide_frame(failure)
            raise
        finally:
            main.forget_file()

    sys.excepthook = excepthook


def _without_head(traceback: TracebackType | None) -> TracebackType | None:
    """The frames below those of `program`; above are poolscope and the code that started it."""
    while traceback is not None and traceback.tb_frame.f_code.co_filename != program.__file__:
        traceback = traceback.tb_next
    while traceback is not None and traceback.tb_frame.f_code.co_filename == program.__file__:
        traceback = traceback.tb_next
    return traceback
