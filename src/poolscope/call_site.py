"""A line of code, as records and reports name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COMMAND: Final = "<python -c>"
"""The file of the code that was given to Python on its command line."""
_NO_FILE: Final = {"<string>": "exec()", "<stdin>": "standard input"}


def is_file(name: str) -> bool:
    """Whether the name that a code object has for its file is one: code of ``python -c`` and ``exec()`` is in no file."""
    return not name.startswith("<")


@dataclass(slots=True, frozen=True)
class CallSite:
    """A line of code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.at()} {self.function}"

    @property
    def has_file(self) -> bool:
        """Whether the line is in a file, as code of ``python -c`` and ``exec()`` is not."""
        return is_file(self.file)

    def at(self, file: str | None = None) -> str:
        """``load.py:12``, with ``file`` as the file's shorter name; ``exec(), line 12`` where there is none."""
        if self.has_file:
            return f"{file or self.file}:{self.line}"
        return f"{_NO_FILE.get(self.file) or self.file.strip('<>')}, line {self.line}"
