"""``# poolscope: ignore[PS101]`` on a line of code, read only where a run came by.

A statement may have several lines: the comment counts on any of them.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from poolscope.gate.codes import codes
from poolscope.gate.source import LARGEST, parse
from poolscope.recording.errors import UsageError
from poolscope.records import CallSite

MARK: Final = re.compile(r"#\s*poolscope:\s*ignore\b\s*(?:\[([^\]]*)\])?")
Lines = tuple[int, int]


@dataclass(slots=True)
class Comment:
    """One comment: the codes it names, and the lines it covers."""

    file: str
    line: int
    codes: tuple[str, ...]
    lines: Lines
    place: str = field(init=False)

    def __post_init__(self) -> None:
        self.place = f"{self.file}:{self.line}"

    def is_for(self, site: CallSite) -> bool:
        """Whether it covers that line."""
        return site.file == self.file and self.lines[0] <= site.line <= self.lines[1]


class Comments:
    """The comments of source files; each file is read once, when a line of it is needed."""

    def __init__(self) -> None:
        self._files: dict[str, list[Comment]] = {}
        self.errors: dict[str, str] = {}
        """Errors in comments, by place."""

    def __repr__(self) -> str:
        return f"<Comments in {len(self._files)} files>"

    def at(self, site: CallSite | None) -> Iterator[Comment]:
        """The comments on the statement of a line."""
        if site is not None and site.has_file:
            yield from (comment for comment in self._of(site.file) if comment.is_for(site))

    def reached(self, lines: Iterable[CallSite]) -> list[Comment]:
        """The comments on the lines that a run reached, each once."""
        found = {comment.place: comment for site in lines for comment in self.at(site)}
        return [found[place] for place in sorted(found)]

    def _of(self, file: str) -> list[Comment]:
        if file not in self._files:
            self._files[file] = list(self._read(file))
        return self._files[file]

    def _read(self, file: str) -> Iterator[Comment]:
        source = _source(file)
        if "poolscope:" not in source:
            return
        statements = _statements(source)
        for line, text in _marks(source):
            found = MARK.search(text)
            if found is None:
                continue
            place = f"{file}:{line}"
            try:
                named = codes(found[1] or "", f"{place}: # poolscope: ignore[…]")
            except UsageError as error:
                self.errors[place] = str(error)
                continue
            yield Comment(file, line, named, _around(line, statements))


def _source(file: str) -> str:
    try:
        with tokenize.open(file) as opened:
            return opened.read(LARGEST)
    except (OSError, SyntaxError, UnicodeError, ValueError):
        return ""


def _marks(source: str) -> Iterator[tuple[int, str]]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        return


def _statements(source: str) -> list[Lines]:
    """First and last line of every statement; of one with a body, of its head."""
    try:
        tree = parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return []
    return [_lines(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)]


def _lines(node: ast.stmt) -> Lines:
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not body:
        return node.lineno, node.end_lineno or node.lineno
    inside = body[0].pattern.lineno if isinstance(node, ast.Match) else body[0].lineno
    return node.lineno, max(node.lineno, inside - 1)


def _around(line: int, statements: list[Lines]) -> Lines:
    """The smallest statement that contains a line, else the line alone."""
    around = [(last - first, first, last) for first, last in statements if first <= line <= last]
    return min(around)[1:] if around else (line, line)
