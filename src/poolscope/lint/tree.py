"""A parsed module: its nodes, their parents, and the functions they run in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from poolscope.lint.flow import FUNCTIONS, Region
from poolscope.lint.libraries import Imports

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
LOOPS: Final = (ast.For, ast.AsyncFor, ast.While)
COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Loop = ast.For | ast.AsyncFor | ast.While | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def inside(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below a node that run with it, without bodies of functions and classes."""
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        each = waiting.pop()
        yield each
        if not isinstance(each, (*FUNCTIONS, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(each))


class Tree:
    """A module, with the way from each node up."""

    def __init__(self, module: ast.Module) -> None:
        self.module = module
        self.nodes: list[ast.AST] = [module]
        self._above: dict[ast.AST, ast.AST] = {}
        for node in self.nodes:
            for child in ast.iter_child_nodes(node):
                # `ast.Load()` and the like are one object for the whole of Python.
                if not isinstance(
                    child, ast.expr_context | ast.operator | ast.unaryop | ast.cmpop | ast.boolop
                ):
                    self._above[child] = node
                    self.nodes.append(child)
        self.imports = Imports(self.nodes)
        self._regions: dict[ast.AST, Region] = {}

    def __repr__(self) -> str:
        return f"<Tree of {len(self.nodes):,} nodes>"

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The parents of a node, the innermost first."""
        while node in self._above:
            node = self._above[node]
            yield node

    def scope(self, node: ast.AST) -> Function | ast.Module | ast.ClassDef:
        """The function, class or module that a node runs in."""
        for each in self.above(node):
            if isinstance(each, (*FUNCTIONS, ast.ClassDef, ast.Module)):
                return each
        return self.module

    def way(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """(child, parent) from a node up to its scope."""
        part = node
        for whole in self.above(node):
            yield part, whole
            if isinstance(whole, (*FUNCTIONS, ast.ClassDef, ast.Module)):
                return
            part = whole

    def loops(self, node: ast.AST) -> list[Loop]:
        """The loops that run a node again, in its own function, the innermost first."""
        return [
            whole
            for part, whole in self.way(node)
            if isinstance(whole, (*LOOPS, *COMPREHENSIONS)) and _is_again(part, whole)
        ]

    def region(self, node: ast.AST) -> Region:
        """The names that a loop, function or module binds."""
        if node not in self._regions:
            parameters = node.args if isinstance(node, FUNCTIONS) else None
            self._regions[node] = Region(inside(node), parameters)
        return self._regions[node]

    def around(self, node: ast.AST) -> list[Region]:
        """The functions and the module that a node is in."""
        scopes = [each for each in self.above(node) if isinstance(each, (*FUNCTIONS, ast.Module))]
        return [self.region(scope) for scope in scopes]

    def name(self, node: ast.AST) -> str:
        """The qualified name of the function that a node runs in, as tracebacks have it."""
        parts: list[str] = []
        for each in self.above(node):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                parts += (
                    ["<locals>", each.name] if parts and not isinstance(each, ast.ClassDef) else [each.name]
                )
            elif isinstance(each, ast.Lambda):
                parts += ["<locals>", "<lambda>"] if parts else ["<lambda>"]
        return ".".join(reversed(parts)) or "<module>"


def _is_again(part: ast.AST, loop: ast.AST) -> bool:
    """Whether that part of a loop runs in each of its rounds."""
    if isinstance(loop, ast.For | ast.AsyncFor):
        return part in loop.body
    if isinstance(loop, ast.While):
        return part is loop.test or part in loop.body
    # The iterable of the first `for` is evaluated once; it is part of an ast.comprehension.
    return not isinstance(part, ast.comprehension)
