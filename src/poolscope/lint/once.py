"""Which functions surely run repeatedly, and which run once."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from poolscope.lint.flow import FUNCTIONS
from poolscope.lint.libraries import VERBS, dotted
from poolscope.lint.tree import Tree

_ONCE: Final = re.compile(
    r"^_?(__init__|__main__|main|cli|setup|teardown|startup|shutdown|lifespan|test)(_|$)|^test|_(main|cli)$"
)
_SCHEDULE: Final = re.compile(
    r"\b(perpetual(ly)?|periodic(ally)?|(aio)?cron(tab)?|\w*schedul\w*|every|intervals?|repeat\w*|timers?|call later|call at|add job)\b"
)
"""Words in the names of what calls a function after pauses that may be long."""
_WORDS: Final = r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])"
_ONCE_DECORATORS: Final = re.compile(
    r"command|group|callback|fixture|cache|memo|once|on_event|startup|shutdown|contextmanager|lifespan|skip|overload"
)
_ROUTES: Final = frozenset((*VERBS, "route", "api_route", "websocket", "view"))
_TESTS: Final = re.compile(r"^(tests?|testing|conftest|test_.*|.*_test|setup|noxfile|__main__)(\.py)?$")
_RUNNERS: Final = frozenset(("run", "run_until_complete"))
_HANDED_OVER: Final = 4
"""How far above its name the call is that a function is handed to, as in ``schedule(lambda: function(1))``."""
_DEEPEST: Final = 5
"""How many levels of callers are followed."""


def is_test(path: str) -> bool:
    """Whether a file, by its path from the root, holds tests, or a program that runs once."""
    return any(_TESTS.match(part) for part in path.split("/"))


def is_handler(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a server calls it for each request: it has a route, or its first argument is the request."""
    names = [dotted(_head(each)) or "" for each in function.decorator_list]
    first = next((each.arg for each in function.args.args if each.arg != "self"), "")
    return first == "request" or any(
        owner and name in _ROUTES for owner, _, name in (each.rpartition(".") for each in names)
    )


class Once:
    """The functions of a module that run once, as far as the module shows."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._named: Counter[str] = Counter()
        self._by: dict[str, list[ast.AST]] = {}
        for node in tree.nodes:
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                name = node.id if isinstance(node, ast.Name) else node.attr
                self._by.setdefault(name, []).append(node)

    def __repr__(self) -> str:
        return f"<Once of {self._tree!r}>"

    def is_once(self, function: ast.AST, depth: int = 0) -> bool:
        """Whether it is the start of a program, a test, a cached value, or called by such a function only."""
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return True
        decorators = [dotted(_head(each)) or "" for each in function.decorator_list]
        if _ONCE.search(function.name) or any(
            _ONCE_DECORATORS.search(name) or _is_schedule(name) for name in decorators
        ):
            return True
        if depth >= _DEEPEST:
            return False
        outer = (each for each in self._tree.above(function) if isinstance(each, FUNCTIONS))
        return any(self.is_once(each, depth + 1) for each in outer) or self._is_started(function, depth)

    def is_scheduled(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        """Whether it is handed to a schedule: no connection would be kept until its next call."""
        return any(
            _is_schedule(" ".join(_names(call.func)))
            for user in self._by.get(function.name, [])
            for call in self._handed_to(user)
        )

    def _handed_to(self, function: ast.AST) -> Iterator[ast.Call]:
        """The calls that get the function itself, or a lambda that calls it; not those that get its result."""
        part, is_result = function, False
        for whole in islice(self._tree.above(function), _HANDED_OVER):
            if isinstance(whole, ast.Lambda):
                is_result = False
            elif isinstance(whole, ast.Call) and part is whole.func:
                is_result = True
            elif isinstance(whole, ast.Call) and not is_result:
                yield whole
            part = whole

    def has_its_own_loop(self, function: ast.AST) -> bool:
        """Whether an event loop is run for it (``asyncio.run(…)``): no two such calls can share a client."""
        if not isinstance(function, ast.AsyncFunctionDef):
            return False
        return any(self._is_run(user) for user in self._by.get(function.name, []))

    def _is_run(self, user: ast.AST) -> bool:
        calls = [each for each in islice(self._tree.above(user), 2) if isinstance(each, ast.Call)]
        return any((dotted(call.func) or "").rpartition(".")[2] in _RUNNERS for call in calls)

    def _is_started(self, function: ast.FunctionDef | ast.AsyncFunctionDef, depth: int) -> bool:
        """Whether it is named only in the module's own body, or in functions that run once."""
        users = [node for node in self._by.get(function.name, []) if function not in self._tree.above(node)]
        return bool(users) and all(self._runs_once(node, depth) for node in users)

    def _runs_once(self, user: ast.AST, depth: int) -> bool:
        scope = self._tree.scope(user)
        if self._tree.loops(user):
            return False
        return isinstance(scope, ast.Module) or self.is_once(scope, depth + 1)


def _names(function: ast.expr) -> Iterator[str]:
    """All names in what is called: ``schedule``, ``every``, ``minutes`` and ``do`` of ``schedule.every().minutes.do``."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name | ast.Attribute):
            yield node.id if isinstance(node, ast.Name) else node.attr


def _is_schedule(names: str) -> bool:
    """Whether one of the words is that of a schedule: ``repeat_every``, but not ``collect_everything``."""
    return _SCHEDULE.search(" ".join(re.findall(_WORDS, names)).lower()) is not None


def _head(decorator: ast.expr) -> ast.expr:
    return decorator.func if isinstance(decorator, ast.Call) else decorator
