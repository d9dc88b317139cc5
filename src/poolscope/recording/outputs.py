"""The files of `--save` and `-o`: created before the program starts, written by this process only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from poolscope.recording.errors import UsageError
from poolscope.recording.line_file import LineFile
from poolscope.recording.options import Options
from poolscope.recording.own_file import OwnFile, claim, create, expanded, is_live
from poolscope.recording.stderr import note

STDOUT: Final = "-"
_WHY: Final = {
    True: "is being written by another process",
    False: "was being written by another process just now",
    None: "may be written by another process (there are no locks there)",
}


class Outputs:
    """The saved file and the report's, if they were asked for."""

    def __init__(self, options: Options, *, by_hand: bool) -> None:
        """Claim them; UsageError if one cannot be written. ``by_hand``: a person starts the program and watches."""
        self._options = options
        self._by_hand = by_hand
        self._asked = {"--save": options.save, "-o": options.output if options.output != STDOUT else None}
        self._claimed = {
            option: self._claim(option, path) for option, path in self._asked.items() if path is not None
        }
        self._notes = list(self._oddities())
        self.report = self._claimed.get("-o")
        saved = self._claimed.get("--save") or self._temporary()
        self.saved = None if saved is None else LineFile(saved.path, lambda: saved, saved)
        self.beside: str | None = (
            saved.path if "--save" in self._claimed and saved and saved.regular else None
        )
        """The saved file, if other files can be created beside it."""
        if by_hand:
            self.tell()

    def __repr__(self) -> str:
        return f"<Outputs {list(self._claimed.values())}>"

    def _claim(self, option: str, path: str) -> OwnFile:
        try:
            return claim(path, wait_for_reader=self._by_hand)
        except OSError as error:
            raise UsageError(f"can't write {option} {path!r}: {error.strerror}") from None

    def _temporary(self) -> OwnFile | None:
        """Formats that show every connection are made from the records, when the program is over."""
        if self._options.format in ("text", "json") or self._options.output is None:
            return None
        import tempfile

        path = os.path.join(tempfile.gettempdir(), f"poolscope-{os.getpid()}-{os.urandom(6).hex()}.jsonl")
        try:
            return create(path)
        except OSError as error:
            raise UsageError(
                f"can't write {path!r}, the temporary file for records: {error.strerror}"
            ) from None

    def _oddities(self) -> Iterator[str]:
        for option, file in self._claimed.items():
            asked = self._asked[option]
            if asked is not None and file.path != expanded(asked):
                why = "already exists" if "%p" in asked else _WHY[is_live(asked)]
                yield f"{option} {expanded(asked)!r} {why}, so this one writes {file.path!r}"

    def tell(self) -> None:
        """Report, once, which files have other names than the requested ones."""
        notes, self._notes = self._notes, []
        for text in notes:
            note(text)

    def complete(self, *, nothing: bool) -> None:
        """They are finished; with ``nothing`` to report, files that were put beside others are deleted."""
        for option, file in self._claimed.items():
            asked = self._asked[option]
            if nothing and asked is not None and file.path != asked:
                with suppress(OSError):
                    os.unlink(file.path)
            file.release()
        if self.saved is not None and self.saved.error is not None:
            note(f"--save {self.saved.path!r} is not complete: {self.saved.error}")
        if self.saved is not None and "--save" not in self._claimed:
            with suppress(OSError):
                os.unlink(self.saved.path)

    def leave(self) -> None:
        """In a forked child: the files belong to the parent."""
        self._notes = []
        if self.saved is not None:
            self.saved.leave()
