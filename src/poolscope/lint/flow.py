"""What an expression depends on: whether it can differ from one round, or one call, to the next."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from poolscope.lint.libraries import dotted

Piece = str | ast.expr
_CHANGES: Final = frozenset(
    ("add", "append", "clear", "extend", "insert", "pop", "remove", "setdefault", "update")
)
_DEEPEST: Final = 5
"""Assignments that are followed from a name to its value."""
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Region:
    """Part of a program: the names bound or changed in it, and their values by plain assignments."""

    def __init__(self, nodes: Iterable[ast.AST], parameters: ast.arguments | None = None) -> None:
        self.bound: Counter[str] = Counter()
        self.values: dict[str, list[ast.expr]] = {}
        self.makers: dict[str, list[ast.AST]] = {}
        """Assignments to a name or into its value, and calls that change that value."""
        for node in nodes:
            self._add(node)
            for name in _made_by(node):
                self.makers.setdefault(name, []).append(node)
        self.parameters = [] if parameters is None else _parameters(parameters)
        self.is_function = parameters is not None
        self.bound.update(self.parameters)

    def __repr__(self) -> str:
        return f"<Region {sorted(self.bound)}>"

    def value(self, name: str) -> ast.expr | None:
        """The value of a name that is bound once, by a plain assignment."""
        values = self.values.get(name, [])
        return values[0] if len(values) == self.bound[name] == 1 else None

    def is_new(self, name: str) -> bool:
        """Whether the name has another value in each round or call, because no assignment fixes it."""
        if self.is_function:
            return name in self.parameters
        values = sorted(self.values.get(name, []), key=lambda value: value.lineno)
        return len(values) < self.bound[name] or name in _names(values[0])

    def _add(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            self._bind(dotted(node))
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            self._bind(dotted(node.value))
        elif isinstance(node, ast.AugAssign):
            self._bind(dotted(node.target))
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._stands_for(dotted(node.targets[0]), node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._stands_for(dotted(node.target), node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _CHANGES:
                self._bind(dotted(node.func.value))
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            self._bind(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            self._bind(node.rest)

    def _stands_for(self, name: str | None, value: ast.expr) -> None:
        if name is not None:
            self.values.setdefault(name, []).append(value)

    def _bind(self, name: str | None) -> None:
        if name is not None:
            self.bound[name] += 1


def _made_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign):
        targets: list[ast.expr] = node.targets
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
        targets = [node.target]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
        targets = [node.func.value]
    else:
        return
    for target in targets:
        name = dotted(target.value if isinstance(target, ast.Subscript) else target)
        if name is not None:
            yield name


def _names(expression: ast.AST) -> set[str]:
    return {name for node in ast.walk(expression) if (name := dotted(node)) is not None}


def _parameters(parameters: ast.arguments) -> list[str]:
    """Names that a call binds; the object of a method stays the same."""
    listed = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
    listed += [each for each in (parameters.vararg, parameters.kwarg) if each]
    return [each.arg for each in listed if each.arg not in ("self", "cls")]


class Flow:
    """A region that runs repeatedly, and the regions around it that do not."""

    def __init__(self, again: Region, around: Sequence[Region]) -> None:
        self._again = again
        self._around = around

    def __repr__(self) -> str:
        return f"<Flow {self._again!r}>"

    def changes(self, expression: ast.AST, through: frozenset[str] = frozenset()) -> bool:
        """Whether it certainly reads something new each time."""
        return any(self._is_new(name, through) for name in _names(expression) if name in self._again.bound)

    def _is_new(self, name: str, through: frozenset[str]) -> bool:
        if name in through:
            # A value that depends on itself through others is passed on from round to round.
            return not self._again.is_function
        if self._again.is_new(name):
            return True
        through |= {name}
        return any(
            self.changes(value, through)
            for value in self._again.values.get(name, [])
            if name not in _names(value)
        )

    def made_of(self, expression: ast.expr) -> list[ast.AST]:
        """The expression, and all that the region does to make the names in it, directly or through others."""
        made: list[ast.AST] = [expression]
        known: set[str] = set()
        for node in made:
            names = _names(node) - known
            known |= names
            made += [maker for name in names for maker in self._again.makers.get(name, [])]
        return made

    def may_change(self, expression: ast.AST, depth: int = 0) -> bool:
        """Whether it may differ each time; the result of a call may."""
        return any(self._may_differ(name, depth) for name in _names(expression) if name in self._again.bound)

    def _may_differ(self, name: str, depth: int) -> bool:
        value = self._again.value(name)
        return value is None or depth >= _DEEPEST or _calls(value) or self.may_change(value, depth + 1)

    def is_fixed(self, expression: ast.expr) -> bool:
        """Whether it is certainly the same each time: it reads nothing of the region and calls nothing."""
        return not self.may_change(expression) and not _calls(expression)

    def has_one_server(self, url: ast.expr) -> bool:
        """Whether an address certainly leads to the same server each time."""
        parts = self._pieces(url)
        if not parts:
            return False
        first, rest = parts[0], parts[1:]
        if isinstance(first, str):
            return self._has_one_host(parts)
        if dotted(first) is None or not self.is_fixed(first):
            return False
        if rest and isinstance(rest[0], str):
            if rest[0].startswith("://"):
                return self._has_one_host(["scheme", *rest])
            return rest[0].startswith(("/", "?"))
        return not rest or _is_an_address(first)

    def _has_one_host(self, parts: Sequence[Piece]) -> bool:
        text = "".join(part if isinstance(part, str) else "\0" for part in parts)
        before, found, after = text.partition("://")
        if not found or "\0" in before:
            return False
        host = re.split("[/?#]", after, maxsplit=1)[0]
        holes = [part for part in parts if not isinstance(part, str)]
        return bool(host) and all(self.is_fixed(hole) for hole in holes[: host.count("\0")])

    def _pieces(self, expression: ast.expr, depth: int = 0) -> list[Piece]:
        """A text expression as its known and unknown parts, in order."""
        if isinstance(expression, ast.Constant):
            return [expression.value] if isinstance(expression.value, str) else [expression]
        if isinstance(expression, ast.JoinedStr):
            return [piece for part in expression.values for piece in self._pieces(part, depth)]
        if isinstance(expression, ast.FormattedValue):
            return self._pieces(expression.value, depth)
        if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add):
            return [*self._pieces(expression.left, depth), *self._pieces(expression.right, depth)]
        return _template(expression) or self._named(expression, depth)

    def _named(self, expression: ast.expr, depth: int) -> list[Piece]:
        """The value of a name, if that begins with a known text; else the name."""
        name = dotted(expression)
        if name is None or depth >= _DEEPEST:
            return [expression]
        for region in (self._again, *self._around):
            if name in region.bound:
                value = region.value(name)
                parts: list[Piece] = [] if value is None else self._pieces(value, depth + 1)
                known = parts and (isinstance(parts[0], str) or region is self._again)
                return parts if known else [expression]
        return [expression]


def _template(expression: ast.expr) -> list[Piece]:
    """The constant beginning of ``"…%s" % x`` or ``"…{}".format(x)``, then the expression for the rest."""
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Mod):
        text, mark = expression.left, "%"
    elif (
        isinstance(expression, ast.Call)
        and isinstance(expression.func, ast.Attribute)
        and expression.func.attr == "format"
    ):
        text, mark = expression.func.value, "{"
    else:
        return []
    if not isinstance(text, ast.Constant) or not isinstance(text.value, str):
        return []
    return [text.value.partition(mark)[0], expression]


def _calls(expression: ast.AST) -> bool:
    return any(isinstance(node, ast.Call | ast.Await) for node in ast.walk(expression))


def _is_an_address(expression: ast.expr) -> bool:
    name = (dotted(expression) or "").rpartition(".")[2].lower()
    return any(word in name for word in ("url", "endpoint"))
