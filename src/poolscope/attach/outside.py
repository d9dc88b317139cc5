"""The attaching side: makes the process run our script, and reads what it sends. Only an interpreter of the same
minor version can do that, so we start the process's own interpreter.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import poolscope
from poolscope.attach.injected import script
from poolscope.look.client import CannotLookError, name_of, owner_of
from poolscope.look.sockets import LONGEST
from poolscope.recording.reader import parse
from poolscope.records import Record

NEEDED: Final = (3, 14)
LONGEST_LINE: Final = 1_000_000
ASK: Final = "import sys; sys.remote_exec(int(sys.argv[1]), sys.argv[2])"
WHICH: Final = "import sys; print(*sys.version_info[:2])"
STEP: Final = 0.2
DROPPED_AFTER: Final = 0.2
"""Seconds of CPU that the main thread uses at most before it runs a script, unless that is lost or one call is long."""
PATIENCE: Final = 10.0
"""Seconds that a process may take to send the rest, once its time is over."""


class Visit:
    """A process that we are attached to."""

    def __init__(self, pid: int, seconds: float, wait: float, *, live: bool) -> None:
        """Attach; `CannotLookError` if that is impossible, or takes longer than ``wait`` seconds."""
        self.pid = pid
        user = owner_of(pid)
        if user is None:
            raise CannotLookError(f"there is no process {pid}")
        if os.geteuid() not in (0, user):
            raise CannotLookError(
                f"process {pid} belongs to {name_of(user)}: only they and root can attach to it"
            )
        self._python = _Python(pid, user)
        self._home = _folder()
        self._connected: socket.socket | None = None
        self._rest = b""
        self._asked = False
        self._until = time.monotonic() + wait + seconds + PATIENCE
        self.complete = False
        """Whether it sent everything up to its summary."""
        self.silent = False
        """Whether it did not send the rest in time."""
        try:
            self._attach(seconds, wait, live, user)
        except BaseException:
            self.close()
            raise
        finally:
            self._clean_up()

    def __repr__(self) -> str:
        return f"<Visit to {self.pid}>"

    def _attach(self, seconds: float, wait: float, live: bool, user: int) -> None:
        path = os.path.join(self._home, "socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            listening.listen(1)
            listening.settimeout(STEP)
            name = os.path.join(self._home, "script.py")
            settings = {
                "script": name,
                "socket": path,
                "seconds": seconds,
                "live": live,
                "version": poolscope.__version__,
                "home": os.path.dirname(os.path.abspath(poolscope.__file__)),
            }
            with open(name, "w", encoding="utf-8") as file:
                file.write(script(settings))
            for place in (name, path, self._home) if os.geteuid() == 0 else ():
                os.chown(place, user, -1)
            self._ask(name)
            self._connected = self._wait_for(listening, wait, name)
        self._expect_hello()

    def _ask(self, name: str) -> None:
        self._asked = True  # a signal may come before we hear that it was
        try:
            self._python.run(name)
        except CannotLookError:
            self._asked = False
            raise

    def _wait_for(self, listening: socket.socket, wait: float, script: str) -> socket.socket:
        deadline, used = time.monotonic() + wait, _cpu_time(self.pid)
        while time.monotonic() < deadline:
            try:
                return listening.accept()[0]
            except TimeoutError:
                if owner_of(self.pid) is None:
                    raise CannotLookError(f"process {self.pid} has ended") from None
                # The interpreter drops a script that comes while a function without builtins runs, such as a
                # namedtuple's __new__: it cannot open the file there.
                if _cpu_time(self.pid) - used >= DROPPED_AFTER and os.path.exists(script):
                    with suppress(CannotLookError):
                        self._python.run(script)
                    used = _cpu_time(self.pid)
        raise CannotLookError(
            f"process {self.pid} has run no Python in its main thread for {wait:g} s: it sleeps, joins a thread or is"
            " in a long call. Nothing was changed there; a longer --wait may help"
        )

    def _expect_hello(self) -> None:
        line = next(self._lines(), None)
        answer = {} if line is None else self._table(line)
        if "hello" not in answer:
            trouble = str(answer.get("trouble", "it ended"))
            raise CannotLookError(
                f"process {self.pid} cannot be recorded: {trouble}. Where poolscope cannot be read or imported,"
                " install it in that program's environment"
            )

    def _table(self, line: str) -> dict[str, Any]:
        try:
            table = json.loads(line)
        except (ValueError, RecursionError):
            table = None
        if not isinstance(table, dict):
            raise self._nonsense()
        return table

    def _nonsense(self) -> CannotLookError:
        return CannotLookError(f"process {self.pid} sends data that is not poolscope's")

    def records(self) -> Iterator[Record]:
        """The records that it sends, until its time is over or `stop` was called."""
        for line in self._lines():
            try:
                record = parse(line)
            except ValueError:
                raise self._nonsense() from None
            self.complete = record.type == "summary"
            yield record

    def _lines(self) -> Iterator[str]:
        assert self._connected is not None
        while True:
            line, found, rest = self._rest.partition(b"\n")
            if found:
                self._rest = rest
                yield line.decode("utf-8", "replace")
                continue
            if len(line) > LONGEST_LINE:
                raise self._nonsense()
            piece = self._piece()
            if not piece:
                return
            self._rest += piece

    def _piece(self) -> bytes:
        """The next data; empty if the process has hung up, or is silent for too long."""
        assert self._connected is not None
        while time.monotonic() < self._until:
            self._connected.settimeout(STEP)
            try:
                return self._connected.recv(262_144)
            except TimeoutError:
                continue
            except ConnectionResetError:
                return b""
        self.silent = True
        return b""

    def stop(self) -> None:
        """Make it leave now; it still sends what it has seen."""
        self._until = min(self._until, time.monotonic() + PATIENCE)
        if self._connected is not None:
            with suppress(OSError):  # it has hung up already
                self._connected.shutdown(socket.SHUT_WR)

    def give_up(self) -> None:
        """Do not wait for what it has not sent yet."""
        self._until = time.monotonic()

    def close(self) -> None:
        """Hang up."""
        if self._connected is not None:
            self._connected.close()

    def _clean_up(self) -> None:
        """The script is kept until it has run: without it the interpreter would complain on its stderr."""
        script_there = os.path.exists(os.path.join(self._home, "script.py"))
        if self._asked and script_there and self._connected is None and owner_of(self.pid) is not None:
            os.unlink(os.path.join(self._home, "socket"))
        else:
            shutil.rmtree(self._home, ignore_errors=True)


def _cpu_time(pid: int) -> float:
    """Seconds of CPU that the main thread has used; 0 where nobody knows."""
    try:
        with open(f"/proc/{pid}/task/{pid}/stat", encoding="utf-8", errors="replace") as file:
            user, system = file.read().rpartition(")")[2].split()[11:13]
    except (OSError, ValueError):
        return 0.0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _folder() -> str:
    """A new folder for the socket; its path must be short."""
    shared = tempfile.gettempdir()
    if len(os.fsencode(shared)) > LONGEST - 40:
        shared = "/tmp"  # noqa: S108  (a folder of our own in it)
    return tempfile.mkdtemp(prefix="poolscope-attach-", dir=shared)


class _Python:
    """The interpreter that a process runs."""

    def __init__(self, pid: int, user: int) -> None:
        self._pid = pid
        self._user = user if user != os.geteuid() else None
        """Root does not run other users' interpreters as root."""
        self._path = f"/proc/{pid}/exe"
        try:
            name = os.readlink(self._path)
        except PermissionError:
            raise CannotLookError(f"process {pid} does not let others look into it: attach as root") from None
        except OSError:
            raise CannotLookError(f"there is no process {pid}, or no /proc") from None
        if not os.path.basename(name).startswith("python"):
            raise CannotLookError(
                f"process {pid} runs {os.path.basename(name)}, which is not a Python interpreter"
            )
        self._path = name if os.path.exists(name) else self._path
        self._check_version()

    def __repr__(self) -> str:
        return f"<_Python {self._path}>"

    def _check_version(self) -> None:
        done = self._start(WHICH)
        version = tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()
        if version < NEEDED:
            named = (
                f"Python {'.'.join(map(str, version))}"
                if version
                else "an interpreter that cannot be started"
            )
            raise CannotLookError(
                f"process {self._pid} runs {named}, and attaching needs 3.14 or later: restart it with POOLSCOPE=--live,"
                " then `poolscope top`"
            )

    def run(self, path: str) -> None:
        """Make the process run a script when its main thread next runs Python."""
        done = self._start(ASK, str(self._pid), path)
        if done.returncode:
            raise CannotLookError(_why(self._pid, done.stderr))

    def _start(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        who: dict[str, Any] = {} if self._user is None else {"user": self._user, "extra_groups": []}
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "POOLSCOPE"))
        }
        command = [self._path, "-I", "-S", "-c", code, *arguments]
        try:
            return subprocess.run(  # noqa: S603  (the very interpreter that the process runs)
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
                cwd="/",
                **who,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            why = getattr(error, "strerror", None) or "it does not answer"
            raise CannotLookError(
                f"the interpreter of process {self._pid} cannot be started: {why}"
            ) from None


def _why(pid: int, complaint: str) -> str:
    last = complaint.strip().splitlines()[-1] if complaint.strip() else "no reason given"
    if "PermissionError" in last or "not permitted" in last:
        return (
            f"no right to attach to process {pid}: this needs the same user and ptrace (kernel.yama.ptrace_scope = 0),"
            " or root with CAP_SYS_PTRACE"
        )
    if "emote debugging is not enabled" in last or "emote debugging" in last:
        return f"process {pid} does not allow it: it was started with PYTHON_DISABLE_REMOTE_DEBUG or -X disable-remote-debug"
    return f"process {pid} cannot be attached to: {last}"
