"""A piece of source, and the hints about it."""

from __future__ import annotations

import ast
import textwrap

from poolscope.lint.habits import Hint, hints


def linted(source: str, *, is_test: bool = False) -> list[Hint]:
    return hints(ast.parse(textwrap.dedent(source)), is_test=is_test)


def lines(source: str) -> list[tuple[int, str]]:
    """(line, habit) of each hint."""
    return [(hint.line, hint.habit) for hint in linted(source)]
