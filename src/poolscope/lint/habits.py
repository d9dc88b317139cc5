"""The two habits that can be read in the source: a client for each round of a loop, or for each call of a function."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from poolscope.lint.flow import Flow
from poolscope.lint.once import Once, is_handler
from poolscope.lint.sends import Send, sends
from poolscope.lint.tree import COMPREHENSIONS, Loop, Tree, inside

Habit: TypeAlias = Literal["loop", "function"]
_FEWEST: Final = 3
"""Rounds of a loop: the number of clients that PS101 requires."""
_KEPT: Final = 5.0
"""Seconds that an idle connection is kept: after a longer sleep a new one is needed anyway."""
_WAITS: Final = re.compile("sleep|wait|throttle|delay|pause|backoff|rate_|limit", re.IGNORECASE)
_CLIENT: Final = re.compile("client|session|pool|http", re.IGNORECASE)


class Hint(NamedTuple):
    """A line that builds a client for each request."""

    line: int
    function: str
    kind: str
    habit: Habit


def hints(module: ast.Module, *, is_test: bool) -> list[Hint]:
    """The hints of a module, in the order of its lines."""
    tree = Tree(module)
    return [] if is_test or not tree.imports else sorted(_hints(tree))


def _hints(tree: Tree) -> Iterator[Hint]:
    once = Once(tree)
    for send in sends(tree):
        habit = _habit(send, tree, once)
        if habit is not None:
            yield Hint(send.built.lineno, tree.name(send.built), send.kind, habit)


def _habit(send: Send, tree: Tree, once: Once) -> Habit | None:
    if not send.can_be_read():
        return None
    loops = tree.loops(send.built)
    if any(_is_habit_of(loop, send, tree) for loop in loops):
        return "loop"
    if loops or send.is_one_call or not _is_habit_of_function(send, tree, once):
        return None
    return "function"


def _is_habit_of(loop: Loop, send: Send, tree: Tree) -> bool:
    """Whether each round sends another request to the same server."""
    flow = Flow(tree.region(loop), tree.around(loop))
    return (
        send.has_one_server(flow)
        and any(flow.changes(part) for part in send.payload())
        and _is_in_every_round(send.built, loop, tree)
        and not _is_short(loop)
        and not _leaves_early(loop)
        and not _may_be_switched_off(loop, flow)
        and not _waits(loop)
    )


def _is_in_every_round(node: ast.AST, loop: Loop, tree: Tree) -> bool:
    """Whether every round makes the call, under no condition and in no handler."""
    for part, whole in tree.way(node):
        if whole is loop:
            return True
        if isinstance(whole, ast.If | ast.IfExp | ast.BoolOp | ast.Match | ast.ExceptHandler):
            return False
        if isinstance(whole, ast.Try) and part not in whole.body:
            return False
    return False


def _is_short(loop: Loop) -> bool:
    """Whether it surely has too few rounds, or is a generator, which its consumer may stop early."""
    if isinstance(loop, ast.While):
        return isinstance(loop.test, ast.Constant) and not loop.test.value
    if isinstance(loop, ast.GeneratorExp):
        return True
    through = loop.generators[0].iter if isinstance(loop, COMPREHENSIONS) else loop.iter
    if isinstance(through, ast.List | ast.Tuple | ast.Set):
        return len(through.elts) < _FEWEST
    if isinstance(through, ast.Call) and isinstance(through.func, ast.Name) and through.func.id == "range":
        return _rounds(through.args) < _FEWEST
    return False


def _rounds(bounds: list[ast.expr]) -> float:
    known = [each.value for each in bounds if isinstance(each, ast.Constant)]
    numbers = [each for each in known if isinstance(each, int)]
    return len(range(*numbers)) if numbers and len(numbers) == len(bounds) else _FEWEST


def _leaves_early(loop: Loop) -> bool:
    """Whether a `for` may be a search or a retry, which ends with the first good answer."""
    if not isinstance(loop, ast.For | ast.AsyncFor):
        return False
    return any(_leaves(statement, within_loop=True) for statement in loop.body)


def _leaves(node: ast.AST, *, within_loop: bool) -> bool:
    if isinstance(node, ast.Return) or (within_loop and isinstance(node, ast.Break)):
        return True
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler | ast.expr):
        return False
    mine = within_loop and not isinstance(node, ast.For | ast.AsyncFor | ast.While)
    return any(_leaves(child, within_loop=mine) for child in ast.iter_child_nodes(node))


def _may_be_switched_off(loop: Loop, flow: Flow) -> bool:
    """Whether a setting that no round changes ends it in the first round."""
    asked = [each for each in inside(loop) if isinstance(each, ast.If)]
    return any(flow.is_fixed(each.test) and _leaves(each, within_loop=True) for each in asked)


def _waits(node: ast.AST) -> bool:
    """Whether it may sleep longer than an idle connection is kept."""
    calls = [each for each in inside(node) if isinstance(each, ast.Call)]
    return any(_WAITS.search(_called(call)) and not _is_brief(call.args) for call in calls)


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_brief(arguments: list[ast.expr]) -> bool:
    value = arguments[0].value if len(arguments) == 1 and isinstance(arguments[0], ast.Constant) else None
    return isinstance(value, int | float) and value < _KEPT


def _is_habit_of_function(send: Send, tree: Tree, once: Once) -> bool:
    """Whether each call of the function sends one request to the same server."""
    function = tree.scope(send.built)
    if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    if once.is_once(function) or once.is_scheduled(function) or once.has_its_own_loop(function):
        return False
    within = list(inside(function))
    if any(isinstance(each, ast.Yield | ast.YieldFrom) or _asks_for_a_client(each) for each in within):
        return False
    flow = Flow(tree.region(function), tree.around(function))
    is_new = is_handler(function) or any(flow.changes(part) for part in send.payload())
    return is_new and not _waits(function) and send.has_one_server(flow)


def _asks_for_a_client(node: ast.AST) -> bool:
    """Whether it builds a client only if none was passed in."""
    if not isinstance(node, ast.If | ast.IfExp | ast.BoolOp):
        return False
    asked = node if isinstance(node, ast.BoolOp) else node.test
    names = [each.attr if isinstance(each, ast.Attribute) else each.id for each in ast.walk(asked)
             if isinstance(each, ast.Name | ast.Attribute)]  # fmt: skip
    return any(_CLIENT.search(name) for name in names)
