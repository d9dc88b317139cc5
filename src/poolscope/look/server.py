"""In the watched process: the socket for looks, which the heartbeat serves once a second. A reader gets a frame a
second, or fewer: the process spends at most `SHARE` of a core on looks, however many readers there are and however
much is live. A reader that stops reading is disconnected.
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_STREAM, socket
from contextlib import suppress
from typing import Final

from poolscope.facts import now
from poolscope.genuine import thread_time
from poolscope.instrumentor import INSTRUMENTOR
from poolscope.look.capture import Taker
from poolscope.look.frame import LONGEST, to_json
from poolscope.look.sockets import ENDING, make_folder, remove_stale
from poolscope.queue import FACTS
from poolscope.recording.stderr import note
from poolscope.recording.stream import Stream

SHARE: Final = 0.008
"""The share of a core, in the long run."""
WATCHERS: Final = 16
"""The most readers at the same time."""
NOT_YET: Final = "-"
PATIENCE: Final = 10.0
"""A reader that takes nothing for so many seconds is disconnected."""


class Watcher:
    """A reader, and the rest of a frame that did not fit into its socket yet."""

    def __init__(self, connected: socket) -> None:
        self._socket = connected
        self._rest = b""
        self._since = now()
        self.gone = False

    def __repr__(self) -> str:
        return f"<Watcher {len(self._rest)} bytes behind{', gone' if self.gone else ''}>"

    def has_left(self) -> bool:
        """Whether the other side hung up; anything it sends is ignored."""
        try:
            self.gone = self.gone or not self._socket.recv(1_024)
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        return self.gone

    def show(self, frame: bytes) -> None:
        """Send a frame, unless part of an earlier frame is still waiting."""
        if not self._rest:
            self._rest, self._since = frame, now()
        self.push()

    def push(self) -> None:
        """Send what fits."""
        try:
            while self._rest:
                self._rest = self._rest[self._socket.send(self._rest) :]
        except BlockingIOError:
            self.gone = now() - self._since > PATIENCE
        except OSError:
            self.gone = True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class LiveSocket:
    """Listens from the first beat on, until closed; a forked child replaces it."""

    def __init__(self) -> None:
        self._stream: Stream | None = None
        self._taker: Taker | None = None
        self._reset()

    def _reset(self) -> None:
        self.path: str | None = None
        self._listening: socket | None = None
        self._watchers: list[Watcher] = []
        self._impossible = False
        self._frame = b""
        self._due = 0.0
        self._wait = 0.0

    def __repr__(self) -> str:
        return f"<LiveSocket {self.path}, {len(self._watchers)} look>"

    def watch(self, stream: Stream) -> None:
        """Show what ``stream`` has counted."""
        self._stream = stream
        self._taker = Taker(stream.watched)

    def beat(self) -> None:
        """Accept new readers, and send them a frame if it is time; never raises."""
        try:
            if self._listening is None and not self._impossible:
                self._open()
            self._serve()
        except Exception as error:
            self._give_up(error)

    def _open(self) -> None:
        folder = make_folder()
        remove_stale(folder)
        listening = socket(AF_UNIX, SOCK_STREAM)
        self._listening = listening
        path = os.path.join(folder, f"{os.getpid()}-{os.urandom(4).hex()}{ENDING}")
        listening.setblocking(False)
        os.fchmod(listening.fileno(), 0o600)
        # Before it listens it looks like the socket of a killed process, which anybody may remove.
        listening.bind(path + NOT_YET)
        os.chmod(path + NOT_YET, 0o600)
        listening.listen(WATCHERS)
        os.rename(path + NOT_YET, path)
        self.path = path

    def _give_up(self, error: Exception) -> None:
        self.close()
        self._impossible = True
        note(f"--live is off: {type(error).__name__}: {error}")

    def _serve(self) -> None:
        self._admit()
        for watcher in self._watchers:
            if not watcher.has_left():
                watcher.push()
        self._leave_the_gone()
        if self._watchers and now() >= self._due:
            self._look()
            for watcher in self._watchers:
                watcher.show(self._frame)

    def _admit(self) -> None:
        while self._listening is not None and len(self._watchers) < WATCHERS:
            try:
                descriptor, _ = self._listening._accept()  # type: ignore[attr-defined]
            except OSError:
                return
            connected = socket(fileno=descriptor)
            connected.setblocking(False)
            watcher = Watcher(connected)
            self._watchers.append(watcher)
            if now() < self._due:  # a look that is still good
                watcher.show(self._frame)

    def _leave_the_gone(self) -> None:
        for watcher in [watcher for watcher in self._watchers if watcher.gone]:
            self._watchers.remove(watcher)
            watcher.close()

    def _look(self) -> None:
        overview = None if self._stream is None else self._stream.overview
        if overview is None or self._taker is None:
            return
        began = thread_time()
        with FACTS.settled(1.0) as settled:
            if not settled:
                return
            look = self._taker.take(overview, INSTRUMENTOR.ledger.since, self._wait)
        frame = to_json(look).encode() + b"\n"
        if len(frame) <= LONGEST:
            self._frame = frame
        self._wait = (thread_time() - began) / SHARE
        self._due = now() + self._wait

    def leave(self) -> None:
        """In a forked child: the socket is the parent's."""
        self._hang_up()
        self._reset()

    def close(self) -> None:
        """Hang up, and remove the socket."""
        if self.path is not None:
            # First, because a reader takes a socket without a listener for that of a killed process.
            with suppress(OSError):
                os.unlink(self.path)
        self._hang_up()
        self._reset()

    def _hang_up(self) -> None:
        for watcher in self._watchers:
            watcher.close()
        if self._listening is not None:
            self._listening.close()
