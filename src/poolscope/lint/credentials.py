"""The values in a query or a body that have the name of a credential: as in a run, other ones are another client's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import compress, pairwise
from typing import Final

from poolscope.identity.sent import names_credential

_NAME_BEFORE_VALUE: Final = re.compile(r"""([^?&=\s{,'"]{1,64})(?:=[^&]{0,99}|["']\s?:[^,]{0,99})$""")
"""``key=`` or ``"key": "`` before the end of a text, perhaps with the beginning of the value."""


def credentials(parts: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """The credentials in expressions and statements that make a payload."""
    for part in parts:
        for node in ast.walk(part):
            yield from _in_texts(node)
            for name, value in _named(node):
                if names_credential(name) and not isinstance(value, ast.Lambda):  # sorted(…, key=lambda …)
                    yield value


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names and values, in each form that a table can be written in."""
    if isinstance(node, ast.Dict):
        yield from ((_text(key), value) for key, value in zip(node.keys, node.values, strict=True))
    elif isinstance(node, ast.Call):
        yield from ((each.arg or "", each.value) for each in node.keywords)
        yield from _pair(node.args)
    elif isinstance(node, ast.Tuple | ast.List):
        yield from _pair(node.elts)
    elif isinstance(node, ast.Assign):
        yield from (
            (_text(each.slice), node.value) for each in node.targets if isinstance(each, ast.Subscript)
        )


def _pair(parts: list[ast.expr]) -> Iterator[tuple[str, ast.expr]]:
    if len(parts) == 2:
        yield _text(parts[0]), parts[1]


def _in_texts(node: ast.AST) -> Iterator[ast.expr]:
    """What follows a credential's name in a text, in each way that a text can be put together."""
    if isinstance(node, ast.JoinedStr):
        yield from (value for before, value in pairwise(node.values) if _ends_with_name(_text(before)))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        if _ends_with_name(_last_text(node.left)):
            yield node.right
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        values = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        yield from _filled_in(_text(node.left).split("%")[:-1], values)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        heads = _text(node.func.value).split("{")[:-1]
        named = [each.value for each in node.keywords]
        yield from _filled_in(heads, [*node.args, *named], in_order=not named)


def _filled_in(heads: list[str], values: list[ast.expr], *, in_order: bool = True) -> list[ast.expr]:
    """The values of a template; all of them if it is not clear which one follows a credential's name."""
    after = [_ends_with_name(head) for head in heads]
    if not in_order or len(after) != len(values):
        return values if any(after) else []
    return list(compress(values, after))


def _ends_with_name(text: str) -> bool:
    found = _NAME_BEFORE_VALUE.search(text)
    return found is not None and names_credential(found[1])


def _last_text(node: ast.expr) -> str:
    """The text that a sum, or a text with values in it, ends with."""
    if isinstance(node, ast.BinOp):
        node = node.left if isinstance(node.op, ast.Mod) else node.right
    return _text(node.values[-1] if isinstance(node, ast.JoinedStr) and node.values else node)


def _text(node: ast.expr | None) -> str:
    if not isinstance(node, ast.Constant):
        return ""
    value = node.value
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
